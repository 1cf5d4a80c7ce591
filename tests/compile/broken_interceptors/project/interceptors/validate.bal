import ballerina/http;

public function validateRequest (http:Caller caller, http:Request req) {
    req.setHeader("a", "b");
}
