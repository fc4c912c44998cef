--- What datasets of files are made with, by format: sc:textFile and its like use it once, file streams in each batch.
---
--- Each function prepares a maker (what it packages for the workers is packaged once): make(scope, inputs, n) gives the dataset of
--- these files (moontide.driver.files), in n partitions where that is up to the caller.
---
--- Most files are read so: a dataset that is there has one record {path, offset, length} for each partition, and an operator like
--- mapPartitions turns it into the records of that part of the file.

local files = require "moontide.driver.files"
local operators = require "moontide.operators"
local raw_files = require "moontide.worker.raw_files"

local file_datasets = {}

---@alias moontide.FileDatasetMaker fun(scope: table, inputs: moontide.Input[], n: integer): moontide.RDD

--- A record of a file of records has so many bytes at most, and a partition of it about as many.
file_datasets.MAX_SPLIT = 32 * 1024 * 1024

local MAX_SPLIT = file_datasets.MAX_SPLIT

-- A dataset that workers make of a few descriptions, cut in `n` partitions.
local function described(kind, name, site, make)
    local fn = operators.own(name, make)
    return function(scope, descriptions, n)
        local handle = scope.from_array(name, descriptions, n, 1)
        return scope.wrap(operators.narrow(handle, kind, name, site, { fn = fn, source = true }))
    end
end

--- Lines.
---@param name string method that was called, for messages
---@param site string where
---@return moontide.FileDatasetMaker
function file_datasets.text(name, site)
    return function(scope, inputs, n)
        local node = scope.state.engine:files(files.splits(inputs, n))
        node:madeBy(("%s (%s)"):format(name, site))
        return scope.wrap(node)
    end
end

--- Pairs of path and content.
---@param name string
---@param site string
---@return moontide.FileDatasetMaker
function file_datasets.whole(name, site)
    local make = described("map", name, site, raw_files.whole)
    return function(scope, inputs, n)
        local descriptions = {}
        for index, input in ipairs(inputs) do
            descriptions[index] = { input.path, input.size, input.once or 0, name }
        end
        return make(scope, descriptions, math.max(1, math.min(n, #inputs)))
    end
end

--- Why a file is none of records of `length` bytes, or nil.
---@param input moontide.Input
---@param length integer
---@return string?
function file_datasets.unfit(input, length)
    if input.size % length ~= 0 then
        return ("%s has %.0f bytes, which is not a multiple of the record length %d"):format(input.path, input.size, length)
    end
end

--- Records of `length` bytes. The files were checked with `unfit`; the number of partitions is theirs.
---@param name string
---@param site string
---@param length integer
---@return moontide.FileDatasetMaker
function file_datasets.records(name, site, length)
    local make = described("flatMap", name, site, raw_files.records)
    local most = math.floor(MAX_SPLIT / length)
    return function(scope, inputs)
        local splits = {}
        for _, input in ipairs(inputs) do
            local count = input.size / length
            for from = 0, count - 1, most do
                splits[#splits + 1] = { input.path, from * length, math.min(most, count - from), length, input.size, name }
            end
        end
        return make(scope, splits, math.max(1, #splits))
    end
end

-- The function of the operator that reads; it runs in the workers.
local function reader(name, site, form)
    return function(it)
        return require("moontide.worker.sequence").read(it, name, site, form)
    end
end

--- The records of SequenceFiles (pairs) or of object files.
---@param name string
---@param site string
---@param form "sequenceFile"|"objectFile"
---@return moontide.FileDatasetMaker
function file_datasets.sequence(name, site, form)
    local descriptor = operators.descriptor("mapPartitions", name, site, { fn = operators.own(name, reader(name, site, form)) })
    return function(scope, inputs, n)
        local splits = files.splits(inputs, n)
        -- A file without a byte is damaged: it is read, so that the action fails.
        for _, input in ipairs(inputs) do
            if input.size == 0 then
                splits[#splits + 1] = { input.path, 0, 0 }
            end
        end
        local node = scope.from_array(name, splits, #splits, 1).node
        return scope.wrap(node:narrow(descriptor, false))
    end
end

return file_datasets
