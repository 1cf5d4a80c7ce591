"""The wing that thinks: reads projects, checks, compiles and packs them. It never imports the runtime."""
