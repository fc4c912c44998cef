-- Shows the lines of a socket that contain a text.
--
-- Shows: filter with a closure that carries a value of the script (an upvalue); collect inside foreachRDD.
--
--     moontide run examples/grep.lua ERROR localhost 9999     # until interrupted
--     moontide run examples/grep.lua                          # with a server and lines of its own
--
-- Prints the matching lines as they come.

local moontide = require "moontide"

local wanted, host, port = arg[1] or "ERROR", arg[2], tonumber(arg[3])
local server, expected
if not host then
    local text = "INFO started\nERROR disk is full\nINFO retrying\nERROR no such file\nINFO done\n"
    server = assert(require("moontide.lineserver").start { text = text, keep = true })
    host, port, expected = "127.0.0.1", server.port, 5
end

local ssc = moontide.StreamingContext("local[2]", "Grep", "50ms")
local lines = ssc:socketTextStream(host, port)

lines:filter(function(line) return line:find(wanted, 1, true) ~= nil end):foreachRDD(function(rdd)
    for _, line in ipairs(rdd:collect()) do
        print(line)
    end
end)

local received = 0
lines:count():foreachRDD(function(rdd)
    received = received + rdd:first()
    if received == expected then
        ssc:stop()
    end
end)

ssc:start()
ssc:awaitTermination()
if server then
    server:stop()
end

--[[ prints:
ERROR disk is full
ERROR no such file
]]
