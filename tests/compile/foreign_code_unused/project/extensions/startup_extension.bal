public function startupExtension() {

}