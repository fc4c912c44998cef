-- Keeps a stream for programs of the Hadoop world, and for a later program of ours.
--
-- Shows: saveAsHadoopFiles, which makes SequenceFiles of the writables you name, saveAsObjectFiles, which keeps any records,
-- and reading both back with sequenceFile and objectFile.
--
--     moontide run examples/save_as_hadoop_files.lua [directory]
--
-- Prints what comes back. Without a directory it uses a temporary one and removes it.

local moontide = require "moontide"

local directory = arg[1] or io.popen("mktemp -d"):read("*l")

local ssc = moontide.StreamingContext("local[2]", "SaveAsHadoopFiles", "50ms")
local readings = ssc:queueStream {
    { { port = "Brest", metres = 6.9 }, { port = "Dover", metres = 6.7 } },
    { { port = "Faro", metres = 3.4 } },
}
readings:saveAsObjectFiles(directory .. "/readings", nil, { compress = true })
readings:map(function(reading) return reading.port, reading.metres end)
    :saveAsHadoopFiles(directory .. "/metres", "seq", { value = "DoubleWritable" })

local batches = 0
readings:foreachRDD(function()
    batches = batches + 1
    if batches == 2 then
        ssc:stop(false)
    end
end)
ssc:start()
ssc:awaitTermination()

local sc = ssc.sc
for _, pair in ipairs(sc:sequenceFile(directory .. "/metres-*.seq"):sortByKey():collect()) do
    print(pair[1], pair[2])
end
local high = sc:objectFile(directory .. "/readings-*"):filter(function(reading) return reading.metres > 5 end)
print("higher than 5 m: " .. high:count())
ssc:stop()

if not arg[1] then
    os.execute("rm -r '" .. directory .. "'")
end

--[[ prints:
Brest	6.9
Dover	6.7
Faro	3.4
higher than 5 m: 2
]]
