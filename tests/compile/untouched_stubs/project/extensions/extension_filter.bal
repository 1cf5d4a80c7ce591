// A stub: it dispatches to functions that do nothing.
import ballerina/http;
import wso2/gateway;

# Represents the extension filter.
public type ExtensionFilter object {
    public function filterRequest (http:Caller caller, http:Request request, http:FilterContext context) returns
                                                                                                         boolean {
        return true;
    }

    public function filterResponse(http:Response response, http:FilterContext context) returns boolean {
        var failed =  context.attributes[gateway:FILTER_FAILED];
        if (failed is boolean) {
            if (failed) {
                int statusCode = <int>context.attributes[gateway:HTTP_STATUS_CODE];
                if(statusCode == gateway:UNAUTHORIZED) {
                    setAuthenticationErrorResponse(response, context );
                } else {
                    setGenericErrorResponse(response, context );
                }
                return true;
            }
        }
        return true;
    }
};

function setAuthenticationErrorResponse(http:Response response, http:FilterContext context) {
    // response.statusCode = 401;
}

function setGenericErrorResponse(http:Response response, http:FilterContext context) {

}
