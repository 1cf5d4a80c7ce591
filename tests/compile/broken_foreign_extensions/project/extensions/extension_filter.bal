import ballerina/http;

public type ExtensionFilter object {
    public function filterRequest(http:Caller caller, http:Request request, http:FilterContext context) returns boolean {
        return true;
    }

    public function filterResponse(http:Response response, http:FilterContext context) returns boolean {
        setGenericErrorResponse(response, context);
        return true;
    }
};

function setGenericErrorResponse(http:Response response, http:FilterContext context) {
    response.statusCode = 503;
}
