-- Keeps a dataset in files and goes on with it: as an object file, which holds any records, and in the formats of Hadoop,
-- which other programs read.
--
-- Shows: saveAsObjectFile and objectFile, saveAsHadoopFile with writables and as text, sequenceFile.
--
--     moontide run examples/object_files.lua [directory]
--
-- Prints the records that come back. Without a directory it uses a temporary one and removes it.

local moontide = require "moontide"

local directory = arg[1] or io.popen("mktemp -d"):read("*l")

local sc = moontide.Context("local[2]", "ObjectFiles")
local tides = sc:parallelize({
    { port = "Brest", heights = { 1.2, 6.9 } },
    { port = "Dover", heights = { 0.8, 6.7 } },
    { port = "Faro", heights = { 0.6, 3.4 } },
}, 2)

-- Any records, tables too. With compress = true they take less space and a bit more time.
tides:saveAsObjectFile(directory .. "/tides", { compress = true })
local again = sc:objectFile(directory .. "/tides")
local range = again:map(function(tide) return tide.port, tide.heights[2] - tide.heights[1] end)
print("object file:")
for _, pair in ipairs(range:collect()) do
    print("", pair[1], ("%.1f m"):format(pair[2]))
end

-- Pairs of two of Hadoop's types, in a SequenceFile.
range:saveAsHadoopFile(directory .. "/range", { key = "Text", value = "DoubleWritable" })
print("sequence file:", sc:sequenceFile(directory .. "/range"):filter(function(_, metres) return metres > 5 end):count()
    .. " ports with more than 5 m")

-- The same as lines of key, tab, value.
range:mapValues(function(metres) return math.floor(metres * 100 + 0.5) end)
    :saveAsHadoopFile(directory .. "/lines", { value = "IntWritable", format = "text" })
print("text:")
for _, line in ipairs(sc:textFile(directory .. "/lines"):collect()) do
    print("", line)
end
sc:stop()

if not arg[1] then
    for _, name in ipairs({ "tides", "range", "lines" }) do
        for _, file in ipairs({ "part-00000", "part-00001", "_SUCCESS" }) do
            os.remove(directory .. "/" .. name .. "/" .. file)
        end
        os.remove(directory .. "/" .. name)
    end
    os.remove(directory)
end

--[[ prints:
object file:
	Brest	5.7 m
	Dover	5.9 m
	Faro	2.8 m
sequence file:	2 ports with more than 5 m
text:
	Brest	570
	Dover	590
	Faro	280
]]
