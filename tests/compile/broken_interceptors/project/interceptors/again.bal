function validateRequest(http:Caller caller, http:Request req) {
}
