-- Archives a stream: each batch becomes a directory of text files.
--
-- Shows: saveAsTextFiles with a prefix, a suffix and skipEmpty; the directories are complete when _SUCCESS is there, and
-- another program may read them then. Here it is this one, as datasets.
--
--     moontide run examples/save_as_text_files.lua [directory]
--
-- Prints what the archive holds. Without a directory it uses a temporary one and removes it.

local moontide = require "moontide"

local directory = arg[1] or io.popen("mktemp -d"):read("*l")

local ssc = moontide.StreamingContext("local[2]", "SaveAsTextFiles", "50ms")
local heights = ssc:queueStream({ { "low 0.8", "high 6.7" }, {}, { "low 0.6" } })
    :map(function(line) return line:match("^(%S+) (%S+)$") end)
heights:saveAsTextFiles(directory .. "/tides", "txt", { skipEmpty = true })

local times = {}
heights:foreachRDD(function(rdd, time)
    times[#times + 1] = time
    if #times == 3 then
        ssc:stop(false)
    end
end)
ssc:start()
ssc:awaitTermination()

for batch, time in ipairs(times) do
    local path = string.format("%s/tides-%.0f.txt", directory, time)
    local complete = io.open(path .. "/_SUCCESS")
    if complete then
        complete:close()
        print("batch " .. batch .. ": " .. table.concat(ssc.sc:textFile(path):collect(), " "))
    else
        print("batch " .. batch .. ": nothing")
    end
end
ssc:stop()

if not arg[1] then
    os.execute("rm -r '" .. directory .. "'")
end

--[[ prints:
batch 1: (low,0.8) (high,6.7)
batch 2: nothing
batch 3: (low,0.6)
]]
