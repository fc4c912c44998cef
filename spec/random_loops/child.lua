-- Runs random loops compiled and interpreted, and compares: `moontide run spec/random_loops/child.lua MODE FIRST COUNT STATUS`.
--
-- The program's Lua states have the options of workers (host/vm/vm.c); in mode "worker" load forwarding is watched as it is there,
-- in mode "driver" it is off. The loops are shipped as closures are. STATUS is a file that always holds the seed at work, for the
-- case that the process dies. Prints each wrong loop with its seed, and at the end "done"; ends with 1 when there was a wrong one.
local bytecode = require "moontide.closure.bytecode"
local jit_fixes = require "moontide.base.jit_fixes"
local generate = require "spec.random_loops.generate"
local templates = require "moontide.closure.templates"

local mode, first, count, status_path = arg[1], tonumber(arg[2]), tonumber(arg[3]), arg[4]

if mode == "worker" then
    require("moontide.base.iterate").install()
    jit_fixes.watch(function() end)
end

local RUNS = 2 -- the first compiles
local FLUSH = 100 -- loops until the machine code is thrown away

local status = assert(io.open(status_path, "w"))

local function result_of(fn)
    local ok, sum, n = pcall(fn, 3, 8.5, "s", "text", nil, 7)
    return ok and ("%d of %d"):format(sum, n) or tostring(sum)
end

local function interpreted(text)
    local fn = assert(loadstring(text, "=loop"))()
    jit.off(fn, true)
    return result_of(fn)
end

-- What closures go through on their way to a worker.
local function shipped(fn) return assert(templates.load(bytecode.scan(string.dump(fn)).dump, "=closure")) end

local function options(seed)
    return { "hotloop=" .. (seed % 2 == 0 and 5 or 40), "hotexit=" .. (seed % 3 == 0 and 10 or 2) }
end

local wrong = 0
for seed = first, first + count - 1 do
    status:seek("set")
    status:write(("%012d"):format(seed))
    status:flush()
    local text = generate.loop(seed, mode)
    local expected = interpreted(text)
    require("jit.opt").start(unpack(options(seed)))
    local fn = shipped(assert(loadstring(text, "=loop"))())
    for run = 1, RUNS do
        local got = result_of(fn)
        if got ~= expected then
            wrong = wrong + 1
            print(("seed %d, %s, %s, run %d: %s instead of %s\n%s"):format(seed, mode, table.concat(options(seed), " "), run,
                got, expected, text))
            break
        end
    end
    if seed % FLUSH == 0 then jit.flush() end
end
print "done"
if wrong > 0 then os.exit(1) end
