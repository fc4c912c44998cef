-- luacheck, run by `make check`.
std = "luajit"
-- Long enough for a sentence in a comment or a message; the code itself aims at 110.
max_line_length = 160
cache = false

-- A method keeps its self, a callback its signature.
self = false
unused_args = false

files["spec/**/*_spec.lua"].std = "+busted"

-- Declarations of a language server.
files["lua/moontide/_meta"].ignore = { "241" }
