function unused(http:Caller c, http:Request r) {
}
