-- Random pipelines against the model, as many as wanted:
--
--     luajit spec/differential/run.lua [--count 10000] [--seed 1] [--keep-going] [--without window,join] [--skip]
--
-- With --skip functions may fail, and what fails is passed over (onError = "skip").
--
-- Prints the seed of each pipeline that differs, and the smallest pipeline and input that still does. Exits with 1 then.

local runner = require "spec.differential.runner"

local count, first, keep_going, without, skip = 10000, 1, false, {}, false
local index = 1
while arg[index] do
    if arg[index] == "--keep-going" then
        keep_going = true
    elseif arg[index] == "--skip" then
        skip, without.numbered = true, true -- partitions of what has failed may be counted
    elseif arg[index] == "--without" and arg[index + 1] then
        for name in arg[index + 1]:gmatch("[^,]+") do
            without[name] = true
        end
        index = index + 1
    elseif arg[index] == "--count" or arg[index] == "--seed" then
        local number = tonumber(arg[index + 1])
        if not number or number % 1 ~= 0 or number < 1 then
            io.stderr:write(arg[index], " needs a whole number from 1\n")
            os.exit(2)
        end
        if arg[index] == "--count" then count = number else first = number end
        index = index + 1
    else
        io.stderr:write("usage: luajit spec/differential/run.lua [--count N] [--seed N] [--keep-going] [--without operators] [--skip]\n")
        os.exit(2)
    end
    index = index + 1
end

require("moontide.core").logLevel("off")

local differences, done, operators = 0, 0, {}
local last = runner.run(first, count, function(seed, text)
    differences = differences + 1
    print(string.format("seed %d: %s\n", seed, text))
    io.stdout:flush()
    if not keep_going then
        os.exit(1)
    end
end, function(_, program)
    done = done + 1
    for _, node in ipairs(program.nodes) do
        operators[node.op] = (operators[node.op] or 0) + 1
    end
    if done % 1000 == 0 then
        io.stderr:write(done, " pipelines\n")
    end
end, without, skip)

local names = {}
for name, times in pairs(operators) do
    names[#names + 1] = string.format("%s %d", name, times)
end
table.sort(names)
print("operators: " .. table.concat(names, ", "))
print(string.format("%d pipelines (seeds %d to %d), %d differences", count, first, last, differences))
if differences > 0 then
    os.exit(1)
end
