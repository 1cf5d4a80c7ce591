const string NAME = "x";
