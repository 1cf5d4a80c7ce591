public function startupExtension() {
    io:println("hello");
}
