-- Counts the words of files that appear in a directory.
--
-- Shows: textFileStream; fileStream with a filter and whole files; files that are written under a hidden name and renamed when
-- they are complete, as a writer should do it. Here the writer is this program.
--
--     moontide run examples/file_stream.lua [directory]
--
-- Prints the counts of the batches that brought something. Without a directory it uses a temporary one and removes it.

local moontide = require "moontide"

local directory = arg[1] or io.popen("mktemp -d"):read("*l")

local function deliver(name, text)
    local file = assert(io.open(directory .. "/." .. name, "w"))
    file:write(text)
    file:close()
    assert(os.rename(directory .. "/." .. name, directory .. "/" .. name))
end

local ssc = moontide.StreamingContext("local[2]", "FileStream", moontide.milliseconds(50))

local counts = ssc:textFileStream(directory)
    :flatMap(function(line) return line:gmatch("%a+") end)
    :countByValue()

local reports = ssc:fileStream(directory, {
    format = "bytes",
    filter = function(path) return path:match("/[^/.][^/]*%.report$") ~= nil end,
}):map(function(path, content) return path:match("[^/]+$") .. " has " .. #content .. " bytes" end)

local told = 0
local function tell(what)
    return function(rdd)
        local records = rdd:collect()
        if #records == 0 then
            return
        end
        local words = {}
        for index, record in ipairs(records) do
            words[index] = type(record) == "table" and record[1] .. "=" .. record[2] or record
        end
        table.sort(words)
        print(what .. ": " .. table.concat(words, " "))
        told = told + 1
        if told == 1 then
            return -- the other output of this batch follows
        elseif told == 2 then
            deliver("second.txt", "ebb\n")
        else
            ssc:stop()
        end
    end
end

counts:foreachRDD(tell("words"))
reports:foreachRDD(tell("reports"))

deliver("first.report", "ebb and flow and ebb\n")
ssc:start()
ssc:awaitTermination()

if not arg[1] then
    os.execute("rm -r '" .. directory .. "'")
end

--[[ prints:
words: and=2 ebb=2 flow=1
reports: first.report has 21 bytes
words: ebb=1
]]
