std = "lua54"
max_line_length = 140
files["spec/**/*_spec.lua"] = { std = "+busted" }
files["**/*.rockspec"] = { std = "+rockspec" }
files[".busted"] = { std = "lua54" }
exclude_files = { "build" }
