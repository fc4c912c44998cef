--- Streams of the files that appear in a directory.
---
--- The core looks through the directory, remembers what was taken and keeps the list of files of each batch
--- (host/dstream/file_choice.h). Here the script's filter is asked, and the dataset of a batch is made from its list.

local check = require "moontide.base.check"
local conf = require "moontide.base.conf"
local errors = require "moontide.base.errors"
local fast = require "moontide.wire.ffi"
local file_datasets = require "moontide.operators.file_datasets"
local files = require "moontide.driver.files"
local handles = require "moontide.operators.handles"
local listener = require "moontide.driver.listener"

local C = fast.C

---@class moontide.StreamingContext
local StreamingContext = {}

local SMALL = 1024 * 1024 -- bytes: a batch is not cut in more partitions than it has so many
local PARTITIONS_PER_WORKER = 4

-- The formats of fileStream: what they are made with, the arity of their records (0: learned), whether they are never packed, the
-- number of records where it follows from the files.
local FORMATS = {
    text = { make = file_datasets.text, arity = 1 },
    bytes = { make = file_datasets.whole, arity = 2, count = function(inputs) return #inputs end },
    sequence = { make = file_datasets.sequence, form = "sequenceFile", arity = 2, plain = true },
    object = { make = file_datasets.sequence, form = "objectFile", arity = 0, plain = true },
}

-- Batches ---------------------------------------------------------------------------------------------------------

-- The files of a batch: those that it has already, or the new ones that the filter lets through.
local function files_of(input, time)
    local node, filter = input.node, input.filter
    local count = node:look(time)
    if count then
        for index = 1, count do
            if not filter or filter(node:candidate(index)) then
                node:accept(index)
            end
        end
        node:settle(time)
    end
    return node:files(time)
end

local function inputs_of(input, time)
    local inputs, bytes = {}, 0
    for index, file in ipairs(files_of(input, time)) do
        local found, reason = files.found(file[1], file[2], input.plain and input.name)
        reason = reason or input.length and file_datasets.unfit(found, input.length)
        if reason then
            error(errors.new("EINVAL", ("%s: %s"):format(input.name, reason)), 0)
        end
        inputs[index] = found
        bytes = bytes + file[2]
    end
    return inputs, bytes
end

-- Many small files share partitions.
local function dataset_of(input, time)
    local inputs, bytes = inputs_of(input, time)
    local workers = input.scope.state.parallelism
    local rdd = input.make(input.scope, inputs, math.max(1, math.min(workers, math.floor(bytes / SMALL))))
    local most = workers * PARTITIONS_PER_WORKER
    rdd = rdd:getNumPartitions() > most and rdd:coalesce(most) or rdd
    if input.count then
        rdd.node:tellRecords(input.count(inputs, bytes))
    end
    return rdd
end

-- Streams ---------------------------------------------------------------------------------------------------------

-- The stream's clock when files began to count. The clock of file systems is a tick behind, so a file that is written now is
-- stamped with a time before now.
local function created_now(life)
    local now = life.graph:now()
    return life.manual and now or math.min(now, math.floor(tonumber(C.tide_clock_file_ns()) / 1000000))
end

local function remembered(life)
    return math.ceil(conf.get(life.settings, "fileStream.minRemember") / life.batch) * life.batch
end

local function paths_of(node, time)
    local paths = {}
    for index, file in ipairs(node:files(time) or {}) do
        paths[index] = file[1]
    end
    return paths
end

-- `input`: name, site, make, arity; perhaps filter, old (files from before count too), depth, plain, length, count
local function stream_of(ssc, scope, directory, input)
    local patterns, reason = files.directories(directory)
    if not patterns then
        check.fail("%s: %s", input.name, reason)
    end
    local life = ssc.life
    local label = ("%s (%s)"):format(input.name, input.site)
    local node = life.graph:files {
        patterns = patterns, depth = input.depth, all = input.filter ~= nil, arity = input.arity, label = label,
        created = input.old and 0 or created_now(life), memory = remembered(life),
        mostFiles = conf.get(life.settings, "fileStream.maxFiles"), mostBytes = conf.get(life.settings, "fileStream.maxBytes"),
    }
    if input.arity == 0 then
        node:joinedBy(label)
    else
        node:madeBy(label)
    end
    input.node, input.scope = node, ssc.sc.scope
    life.transforms[node:id()] = { name = input.name, site = input.site, fn = input.filter, run = function(_, time)
        return dataset_of(input, time)
    end }
    listener.source(life, node:id(), ("%s(%s)"):format(input.name, directory)).files = function(time)
        return paths_of(node, time)
    end
    return scope.wrap(node)
end

local OPTIONS = { "filter", "newFilesOnly", "format", "depth" }

---@class moontide.FileStreamOptions
---@field filter? fun(path: string): boolean which files count, in place of the rule for names; it runs in the driver, once for each file
---   and batch until the file is taken
---@field newFilesOnly? boolean true (default): files that were modified after this call; false: those of the last 60 s before the
---   first batch too (setting `fileStream.minRemember`)
---@field format? "text"|"bytes"|"sequence"|"object" what a file's records are: its lines (default); one pair of its path and its
---   content; the pairs of a SequenceFile; what saveAsObjectFile wrote
---@field depth? integer levels of directories below this one whose files count too, 0 (default) to 100; with a filter hidden ones too.
---   Links to directories are not followed

local function read_options(options)
    if options == nil then
        options = {}
    elseif check.type_name(options) ~= "table" then
        check.bad_argument(2, "fileStream", "table of options", options)
    end
    check.options("fileStream", options, OPTIONS)
    local format = options.format == nil and "text" or options.format
    if not FORMATS[format] then
        check.fail("fileStream: option 'format': one of %s expected, got %s", table.concat(check.names(FORMATS), ", "),
            type(format) == "string" and "'" .. format .. "'" .. check.suggestion(format, check.names(FORMATS))
                or check.type_name(format))
    end
    if options.filter ~= nil and type(options.filter) ~= "function" then
        check.fail("fileStream: option 'filter': function expected, got %s", check.type_name(options.filter))
    end
    if options.newFilesOnly ~= nil and type(options.newFilesOnly) ~= "boolean" then
        check.fail("fileStream: option 'newFilesOnly': boolean expected, got %s", check.type_name(options.newFilesOnly))
    end
    local reason = options.depth ~= nil and check.not_integer(options.depth, 0, 100)
    if reason then
        check.fail("fileStream: option 'depth': %s", reason)
    end
    return format, options
end

--- The records of files that appear in a directory. Batch T has those of the files that were modified after the stream was made, and not
--- after T, each file once.
---
---     local pages = ssc:fileStream("inbox", { format = "bytes", filter = function(path) return path:match("%.html$") ~= nil end })
---
--- Files should be written elsewhere on the same file system, or under a name that is left out, and renamed when they are complete: names
--- that begin with "." or "_", or end in ".tmp", "._COPYING_", ".swp" or "~", are left out. A file that keeps an older time of
--- modification is taken up to 60 s later (setting `fileStream.minRemember`), one with a time in the future when that has come. A file whose
--- size, time or inode changes is read again as a whole, with a warning within that time; what is appended is not followed. An older one
--- that is rewritten in place is not noticed on network file systems; one that is replaced is.
--- Batches take at most `fileStream.maxFiles` and `fileStream.maxBytes`, the oldest files first; the others wait. What ends in .gz or .lz4
--- is unpacked (text, bytes).
---
--- A directory that is not there, or can't be listed, is a warning, once, and the batches are empty until it can be. Errors of a batch:
--- a filter that raises, a file that was removed before it was read, or is damaged, or is packed in another way; each names the file.
--- Errors of the call: a path that is a file or the URL of something else, and wrong options.
--- As in Spark 0.9.
---@param directory string or a pattern with `*`, `?`, `[…]`, `{a,b}`, of which each directory counts; not those below it
---@param options? moontide.FileStreamOptions default {}: the lines of all files that are new, of this directory alone
---@return moontide.DStream
function StreamingContext:fileStream(directory, options)
    local scope = handles.begin(self, handles.StreamingContext, "fileStream")
    check.text(1, "fileStream", directory, true)
    local name, site = "fileStream", check.site()
    local format
    format, options = read_options(options)
    local kind = FORMATS[format]
    return stream_of(self, scope, directory, {
        name = name, site = site, make = kind.make(name, site, kind.form), arity = kind.arity, plain = kind.plain, count = kind.count,
        filter = options.filter, old = options.newFilesOnly == false, depth = options.depth,
    })
end

--- The lines of text files that appear in a directory.
---
---     ssc:textFileStream("logs"):filter(function(line) return line:find("ERROR", 1, true) end):print()
---
--- Which files, when, and what is an error: as with fileStream. Guide: "Input Sources".
---@param directory string or a pattern
---@return moontide.DStream
function StreamingContext:textFileStream(directory)
    local scope = handles.begin(self, handles.StreamingContext, "textFileStream")
    check.text(1, "textFileStream", directory, true)
    local name, site = "textFileStream", check.site()
    return stream_of(self, scope, directory, { name = name, site = site, make = file_datasets.text(name, site), arity = 1 })
end

--- Records of `recordLength` bytes each, as strings, of files that appear in a directory.
---
---     ssc:binaryRecordsStream("samples", 16)
---
--- A file whose size is not a multiple of `recordLength` is an error of its batch. Which files, when, and other errors: as with
--- fileStream. As in Spark 1.3.
---@param directory string or a pattern
---@param recordLength integer bytes, at least 1
---@return moontide.DStream
function StreamingContext:binaryRecordsStream(directory, recordLength)
    local scope = handles.begin(self, handles.StreamingContext, "binaryRecordsStream")
    check.text(1, "binaryRecordsStream", directory, true)
    check.integer(2, "binaryRecordsStream", recordLength, 1, file_datasets.MAX_SPLIT)
    local name, site = "binaryRecordsStream", check.site()
    return stream_of(self, scope, directory, {
        name = name, site = site, make = file_datasets.records(name, site, recordLength), arity = 1, plain = true,
        length = recordLength, count = function(_, bytes) return bytes / recordLength end,
    })
end

handles.add { StreamingContext = StreamingContext }
