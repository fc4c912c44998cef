-- Runs busted as a plain script, for interpreters that are not started through /usr/bin/busted.
--
--     luajit spec/support/run_specs.lua [busted options] <spec file>...
--     moontide run spec/support/run_specs.lua [busted options] <spec file>...
--
-- spec/run.lua starts it once for each spec file. Ends normally when every test passed, with an error otherwise. (It is
-- not called busted.lua: `moontide run` finds a script's neighbours as modules, and would take it for the real one.)

local function run()
    require "busted.runner"({ standalone = false })
end

-- busted leaves a failing run with an error without a value. It must not call os.exit: the leak check of the sanitizers
-- needs the Lua state closed in the ordinary way.
local ok, err = pcall(run)
if not ok then
    error(err or "there were failing tests", 0)
end
