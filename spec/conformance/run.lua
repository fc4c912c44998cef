-- Runs conformance cases alone.
--
--     luajit spec/conformance/run.lua [case-id...] [--kind KIND] [--cases FILE] [--verbose]
--
-- Without ids: all cases of the file. The exit status is 0 when none failed; the missing ones are named. Needs the
-- library on LUA_PATH and LUA_CPATH; without them, the tree's own in `build/` (or MOONTIDE_BUILD).

local build_folder = os.getenv("MOONTIDE_BUILD") or "build"
package.path = package.path .. ";./?.lua;./lua/?.lua;./lua/?/init.lua;./stdlib/?.lua;./stdlib/?/init.lua"
package.cpath = package.cpath .. ";" .. build_folder .. "/lib/?.so"

local runner = require "spec.conformance.runner"

local function usage(message)
    io.stderr:write(message, "\nusage: luajit spec/conformance/run.lua [case-id...] [--kind KIND] [--cases FILE]",
        " [--verbose]\n")
    os.exit(2)
end

local wanted, any, kind, path, verbose = {}, false, nil, nil, false
local index = 1
while arg[index] do
    local word = arg[index]
    if word == "--cases" or word == "--kind" then
        index = index + 1
        local value = arg[index] or usage(word .. " needs a value")
        if word == "--cases" then
            path = value
        else
            kind = value
        end
    elseif word == "--verbose" then
        verbose = true
    elseif word:sub(1, 2) == "--" then
        usage("unknown option " .. word)
    else
        wanted[word], any = true, true
    end
    index = index + 1
end

local chosen = {}
for _, case in ipairs(runner.load(path)) do
    if (not any or wanted[case.id]) and (not kind or case.kind == kind) then
        chosen[#chosen + 1] = case
        wanted[case.id] = nil
    end
end
for id in pairs(wanted) do
    usage("no case is called " .. id)
end

local summary = runner.run_all(chosen, function(case, status, reason)
    if verbose then
        print(status, case.id, reason or "")
        io.stdout:flush()
    end
end)
print(runner.describe(summary))
if summary.failed > 0 then
    error("there were failing cases", 0)
end
