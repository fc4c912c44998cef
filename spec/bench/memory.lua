-- Whether memory stays flat over many small batches.
--
--     moontide run spec/bench/memory.lua <batches>
--
-- The job of spec/support/soak.lua with a queue and a socket, a window with and one without an inverse, state, and outputs that
-- print; its clock is moved by hand, so batches follow one another at once. After every tenth of the batches it prints "batch
-- resident-kB blocks block-bytes datasets lua-kB worker-lua-kB", then the seconds that all took.

local clock = require("moontide.lineserver").clock
local soak = require "spec.support.soak"

local batches = tonumber(arg[1])

local function resident()
    for line in io.lines("/proc/self/status") do
        local kilobytes = line:match("^VmRSS:%s*(%d+) kB")
        if kilobytes then
            return tonumber(kilobytes)
        end
    end
end

local job = soak.start { socket = true, outputs = { "window", "inverse", "state" } }
local started = clock()
for _ = 1, 10 do
    job:run(batches / 10)
    local rss, now = resident(), job:sample()
    print(string.format("%d %d %d %d %d %.0f %.0f", now.batch, rss, now.blocks, now.bytes, now.rdds, now.lua, now.workers))
end
print(string.format("%.1f", clock() - started))
job:stop()
