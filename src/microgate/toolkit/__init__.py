"""The wing that thinks: reads projects, checks them, compiles them to a plan and packs it. Never imports the runtime."""
