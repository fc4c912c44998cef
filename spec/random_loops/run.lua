-- Random loops, compiled against interpreted, in processes of their own: `luajit spec/random_loops/run.lua LOOPS [SEED [PROCESSES]]`,
-- or `make random-loops LOOPS=1000000 SEED=1`. Three of four are run as in a worker, one as in the driver. Prints each wrong
-- loop, and the loop at which a process died, with its seed and text; ends with 1 when there was any.
local generate = require "spec.random_loops.generate"

local run = {}

local CHUNK = 2500 -- loops of one process

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function start(mode, first, count)
    local status = os.tmpname()
    local program = os.getenv "MOONTIDE_BIN" or "build/bin/moontide"
    local command = table.concat({ quoted(program), "run", "spec/random_loops/child.lua", mode, ("%d"):format(first),
        ("%d"):format(count), quoted(status), "2>&1" }, " ")
    return { pipe = assert(io.popen(command)), status = status, mode = mode }
end

-- What the process found: nil when everything was right.
local function finish(child)
    local output = child.pipe:read "*a"
    child.pipe:close()
    local file = io.open(child.status)
    local seed = file and tonumber(file:read "*a")
    if file then file:close() end
    os.remove(child.status)
    if output == "done\n" then return nil end
    if output:find "done\n$" then return output end
    return ("%sthe process ended at seed %s, %s\n%s"):format(output, seed or "?", child.mode, seed and generate.loop(seed, child.mode) or "")
end

--- Runs loops, and calls `found` with the text of what went wrong.
---@param loops integer
---@param seed integer the first
---@param processes integer at a time
---@param found fun(text: string)
function run.loops(loops, seed, processes, found)
    local at, chunk, children = seed, 0, {}
    while at < seed + loops or #children > 0 do
        while #children < processes and at < seed + loops do
            local count = math.min(CHUNK, seed + loops - at)
            chunk = chunk + 1
            children[#children + 1] = start(chunk % 4 == 0 and "driver" or "worker", at, count)
            at = at + count
        end
        local wrong = finish(table.remove(children, 1))
        if wrong then found(wrong) end
    end
end

if arg and arg[0] and arg[0]:find "random_loops/run%.lua$" then
    local loops, seed, processes = tonumber(arg[1]) or 10000, tonumber(arg[2]) or os.time() % 1000000 * 1000, tonumber(arg[3]) or 2
    print(("%d loops from seed %d on"):format(loops, seed))
    io.stdout:flush()
    local failures = 0
    run.loops(loops, seed, processes, function(text)
        failures = failures + 1
        print(text)
        io.stdout:flush()
    end)
    print(("%d loops, %s"):format(loops, failures == 0 and "0 wrong" or failures .. " processes found wrong ones"))
    if failures > 0 then os.exit(1) end
end

return run
