--- Datasets that a Context makes of files, and of nothing (range).

local check = require "moontide.base.check"
local file_datasets = require "moontide.operators.file_datasets"
local files = require "moontide.driver.files"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"

local class, begin = handles.Context, handles.begin

---@class moontide.Context
local Context = {}

local function inputs_of(name, path, plain)
    check.text(1, name, path, true)
    local inputs, reason = files.inputs(path, plain and name)
    if not inputs then
        check.fail("%s: %s", name, reason)
    end
    return inputs
end

local function check_bound(index, value)
    return check.integer(index, "range", value)
end

--- The whole numbers from `first` up to but not including `stop`. With one number alone: from 0 up to it.
---
---     sc:range(5):collect()         --> { 0, 1, 2, 3, 4 }
---     sc:range(10, 0, -5):collect() --> { 10, 5 }
---
--- The workers count: a large range takes no memory.
--- A step of 0 is an error. As in Spark 1.5.
---@param first integer
---@param stop? integer not included; without it the numbers go from 0 up to `first`
---@param step? integer not 0, default 1
---@param n? integer partitions, default sc:defaultParallelism()
---@return moontide.RDD
function Context:range(first, stop, step, n)
    local scope = begin(self, class, "range")
    check_bound(1, first)
    if stop == nil then
        first, stop = 0, first
    end
    check_bound(2, stop)
    step = check.integer(3, "range", step, nil, nil, 1)
    if step == 0 then
        check.fail("bad argument #3 to 'range' (the step is 0)")
    end
    n = check.partitions(4, "range", n, self.state.parallelism)
    local count = math.max(0, math.ceil((stop - first) / step))
    local slices = {}
    for index = 0, n - 1 do
        slices[index + 1] = { first, step, math.floor(index * count / n), math.floor((index + 1) * count / n) }
    end
    local handle = scope.from_array("range", slices, n, 1)
    return scope.wrap(operators.narrow(handle, "range", "range", check.site()))
end

--- The lines of a text file, of all files of a directory, or of the files that a pattern with `*`, `?`, `[…]`, `{a,b}` matches. In
--- directories, and for the wildcards of patterns, names starting with "." or "_" are left out. Large files are read in several
--- partitions; what ends in .gz or .lz4 (frames) is unpacked, each file in one partition.
---
---     sc:textFile("logs/*.txt"):filter(function(line) return line:find("ERROR", 1, true) end):count()
---
--- The files are looked up here and read by each action. A path that does not exist, or a file that is packed otherwise (.bz2, .zst …),
--- is an error at the call; a damaged .gz or .lz4, or a file that became shorter, is one of the action. Pipes and /dev/stdin are read once, in
--- one partition: a second action is an error unless the dataset is kept with cache() or persist(). As in Spark 0.9.
---@param path string or a URL that begins with file:
---@param minPartitions? integer at least this many partitions where the size allows, default the smaller of 2 and
---   sc:defaultParallelism()
---@return moontide.RDD
function Context:textFile(path, minPartitions)
    local scope = begin(self, class, "textFile")
    check.text(1, "textFile", path, true)
    minPartitions = check.partitions(2, "textFile", minPartitions, math.min(self.state.parallelism, 2))
    return file_datasets.text("textFile", check.site())(scope, inputs_of("textFile", path), minPartitions)
end

--- Pairs of the path and the content of each file of a directory, or of all files that a pattern matches: for many small
--- files that are one record each.
---
---     sc:wholeTextFiles("mails/*.eml"):mapValues(function(mail) return mail:match("Subject: ([^\n]*)") end)
---
--- As in Spark 1.0.
---@param path string as for textFile
---@param minPartitions? integer default the smaller of 2 and sc:defaultParallelism(); never more than there are files
---@return moontide.RDD
function Context:wholeTextFiles(path, minPartitions)
    local scope = begin(self, class, "wholeTextFiles")
    local inputs = inputs_of("wholeTextFiles", path)
    local n = check.partitions(2, "wholeTextFiles", minPartitions, math.min(self.state.parallelism, 2))
    return file_datasets.whole("wholeTextFiles", check.site())(scope, inputs, n)
end

--- Records of `length` bytes each, as strings, of a file, the files of a directory, or those a pattern matches.
---
---     sc:binaryRecords("samples.bin", 16)
---
--- A file whose size is not a multiple of `length` is an error at the call. As in Spark 1.2.
---@param path string as for textFile
---@param length integer bytes
---@return moontide.RDD
function Context:binaryRecords(path, length)
    local scope = begin(self, class, "binaryRecords")
    local inputs = inputs_of("binaryRecords", path, true)
    check.integer(2, "binaryRecords", length, 1, file_datasets.MAX_SPLIT)
    for _, input in ipairs(inputs) do
        local reason = file_datasets.unfit(input, length)
        if reason then
            check.fail("binaryRecords: %s", reason)
        end
    end
    return file_datasets.records("binaryRecords", check.site(), length)(scope, inputs, 1)
end

-- Object files and SequenceFiles.
local function sequence_files(sc, scope, name, path, n)
    check.text(1, name, path, true)
    n = check.partitions(2, name, n, math.min(sc.state.parallelism, 2))
    return file_datasets.sequence(name, check.site(), name)(scope, inputs_of(name, path, true), n)
end

--- The records that saveAsObjectFile or saveAsObjectFiles wrote: a file, all files of a directory (names starting with
--- "." or "_" are left out), or those that a pattern matches.
---
---     sc:parallelize({ 1, 2, 3 }):saveAsObjectFile("backup")
---     sc:objectFile("backup"):collect()  --> { 1, 2, 3 } in any order
---
--- The files are looked up here and read by each action. Damaged files are an error of the action, with the path and
--- the byte; a path that does not exist is one at the call. As in Spark 0.9.
---@param path string
---@param minPartitions? integer at least this many partitions where the size allows, default the smaller of 2 and
---   sc:defaultParallelism()
---@return moontide.RDD
function Context:objectFile(path, minPartitions)
    return sequence_files(self, begin(self, class, "objectFile"), "objectFile", path, minPartitions)
end

--- The records of Hadoop SequenceFiles, as pairs: a file, all files of a directory, or those that a pattern matches. Text
--- and BytesWritable are read as strings, numbers as numbers (LongWritable beyond 2^53 as int64), BooleanWritable
--- as booleans, NullWritable as moontide.null.
---
---     sc:parallelizePairs({ { "ebb", 12 } }):saveAsHadoopFile("counts", { value = "IntWritable" })
---     sc:sequenceFile("counts/part-*"):collect()  --> { { "ebb", 12 } }
---
--- Plain files, compressed records and compressed blocks are read (DefaultCodec, DeflateCodec, GzipCodec). Large files are
--- read in several partitions, cut at their sync markers. Errors are as with objectFile. As in Spark 0.9.
---@param path string
---@param minPartitions? integer at least this many partitions where the size allows, default the smaller of 2 and
---   sc:defaultParallelism()
---@return moontide.RDD
function Context:sequenceFile(path, minPartitions)
    return sequence_files(self, begin(self, class, "sequenceFile"), "sequenceFile", path, minPartitions)
end

handles.add { Context = Context }
