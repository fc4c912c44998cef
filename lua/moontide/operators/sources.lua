--- Datasets that a Context makes of nothing, of whole files and of files of records with a fixed length.

local check = require "moontide.base.check"
local files = require "moontide.driver.files"
local operators = require "moontide.operators"
local raw_files = require "moontide.worker.raw_files"

local sources = {}

-- A partition of binaryRecords has about this many bytes at most.
local MAX_SPLIT = 32 * 1024 * 1024

local function inputs_of(name, path, plain)
    check.text(1, name, path, true)
    local inputs, reason = files.inputs(path, plain and name)
    if not inputs then
        check.fail("%s: %s", name, reason)
    end
    return inputs
end

-- A dataset that workers make of a few descriptions, cut in `n` partitions.
local function described(scope, name, descriptions, n, kind, make)
    local handle = scope.from_array(name, descriptions, n, 1)
    return scope.wrap(operators.narrow(handle, kind, name, check.site(), { fn = operators.own(name, make), source = true }))
end

local function check_bound(index, value)
    return check.integer(index, "range", value)
end

--- Adds these methods to Context.
---@param Context table
---@param begin fun(self: moontide.Context, method: string): table
function sources.install(Context, begin)
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
        local scope = begin(self, "range")
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
        local scope = begin(self, "wholeTextFiles")
        local inputs = inputs_of("wholeTextFiles", path)
        local n = check.partitions(2, "wholeTextFiles", minPartitions, math.min(self.state.parallelism, 2))
        local descriptions = {}
        for index, input in ipairs(inputs) do
            descriptions[index] = { input.path, input.size, input.once or 0 }
        end
        return described(scope, "wholeTextFiles", descriptions, math.max(1, math.min(n, #inputs)), "map", raw_files.whole)
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
        local scope = begin(self, "binaryRecords")
        local inputs = inputs_of("binaryRecords", path, true)
        check.integer(2, "binaryRecords", length, 1, MAX_SPLIT)
        local splits = {}
        local most = math.floor(MAX_SPLIT / length)
        for _, input in ipairs(inputs) do
            local count = input.size / length
            if count ~= math.floor(count) then
                check.fail("binaryRecords: %s has %.0f bytes, which is not a multiple of the record length %d", input.path,
                    input.size, length)
            end
            for from = 0, count - 1, most do
                splits[#splits + 1] = { input.path, from * length, math.min(most, count - from), length, input.size }
            end
        end
        return described(scope, "binaryRecords", splits, math.max(1, #splits), "flatMap", raw_files.records)
    end
end

return sources
