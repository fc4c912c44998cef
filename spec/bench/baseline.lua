-- The hand-written program a measurement is compared with: one thread, one loop, the same closures. Run by stock
-- luajit.
--
--     luajit spec/bench/baseline.lua <workload> <lines|text|memory> <file> <warm-up file>
--
-- lines: io.lines reads the file. text: the file is read as one string and cut with find and sub, which LuaJIT
-- compiles. memory: the same with the string at hand before the clock starts. Prints "seconds result cpu-seconds".

package.path = "./?.lua;./stdlib/?.lua;" .. package.path

local workloads = require "spec.bench.workloads"
local clock = require("moontide.lineserver.sockets").clock

local workload, way, path, warm_up = workloads[arg[1]], arg[2], arg[3], arg[4]

local function lines_of_text(text)
    local find, sub = string.find, string.sub
    local position = 1
    return function()
        local newline = find(text, "\n", position, true)
        if newline then
            local line = sub(text, position, newline - 1)
            position = newline + 1
            return line
        end
    end
end

local function read(name)
    local file = assert(io.open(name, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

local ways = {}

function ways.lines(name)
    return function()
        return workload.loop(io.lines(name))
    end
end

function ways.text(name)
    return function()
        return workload.loop(lines_of_text(read(name)))
    end
end

function ways.memory(name)
    local text = read(name)
    return function()
        return workload.loop(lines_of_text(text))
    end
end

ways[way](warm_up)()
local program = ways[way](path)
collectgarbage()
local started, cpu = clock(), os.clock()
local result = program()
print(string.format("%.6f %.0f %.6f", clock() - started, result, os.clock() - cpu))
