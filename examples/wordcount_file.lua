-- Counts the words of a text file, without a stream.
--
-- Shows: the batch engine alone: textFile, flatMap, reduceByKey, sortByKey, take.
--
--     moontide run examples/wordcount_file.lua [file]
--
-- Prints the most frequent words; without a file, those of this one's own text below.

local moontide = require "moontide"

local path = arg[1]
if not path then
    path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("to be or not to be\nthat is the question\nwhether it is nobler\nto be is to do\n")
    file:close()
end

local sc = moontide.Context("local[2]", "WordCount")
local counts = sc:textFile(path)
    :flatMap(function(line) return line:gmatch("%S+") end)
    :map(function(word) return word, 1 end)
    :reduceByKey(function(a, b) return a + b end)

-- Sorted by the count, then by the word: the key of this dataset is both.
local ranked = counts
    :map(function(word, count) return string.format("%09d %s", 999999999 - count, word), count end)
    :sortByKey()

for _, pair in ipairs(ranked:take(4)) do
    print(pair[2], pair[1]:match(" (.*)$"))
end
print(counts:count() .. " different words")
sc:stop()
if not arg[1] then
    os.remove(path)
end

--[[ prints:
4	to
3	be
3	is
1	do
12 different words
]]
