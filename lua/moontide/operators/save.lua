--- The saveAs… methods of datasets and streams: text, object files, and Hadoop's output formats. Object files and those of the
--- format "sequence" are Hadoop SequenceFiles (host/format/sequence_file.h), which other programs of that world read and write too.
---
--- An object file holds any records, packed: keys are NullWritable, a value is a BytesWritable with a group of up to 10
--- records, all MessagePack: first the arity (1: values, 2: pairs), then for each record that many values. So any MessagePack
--- library reads them: in a value of pairs, 2 key value key value …

local check = require "moontide.base.check"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local parts = require "moontide.operators.parts"
local save = require "moontide.driver.save"

---@class moontide.RDD
local RDD = {}

---@class moontide.DStream
local DStream = {}

-- Options ----------------------------------------------------------------------------------------------------------

---@class moontide.TextOptions
---@field compress "gz"|nil gzip: the parts are called part-NNNNN.gz, and textFile unpacks them; default plain
---@field skipEmpty boolean? (streams) an empty batch writes nothing, not even a directory; default false

---@class moontide.ObjectOptions
---@field compress boolean? deflate blocks of records, default false
---@field skipEmpty boolean? (streams) an empty batch writes nothing, not even a directory; default false

---@class moontide.HadoopOptions
---@field key string? writable of the keys, default "Text"
---@field value string? writable of the values, default "Text"
---@field format "sequence"|"text"|nil default "sequence"
---@field compress boolean? (sequence) deflate blocks of records, default false
---@field skipEmpty boolean? (streams) an empty batch writes nothing, not even a directory; default false

local function names_of(streaming, ...)
    local names = { ... }
    if streaming then
        names[#names + 1] = "skipEmpty"
    end
    return names
end

local function flag(name, options, option)
    local value = options[option]
    if value ~= nil and type(value) ~= "boolean" then
        check.fail("%s: option '%s': boolean expected, got %s", name, option, check.type_name(value))
    end
    return value or false
end

local function options_table(index, name, options, valid)
    if options == nil then
        return {}
    end
    if type(options) ~= "table" or check.type_name(options) ~= "table" then
        check.fail("bad argument #%d to '%s' (table of options expected, got %s)", index, name, check.type_name(options))
    end
    check.options(name, options, valid)
    return options
end

local CODECS = { "gz" }

local function text_options(index, name, options, streaming)
    if type(options) == "string" then
        check.fail("bad argument #%d to '%s' (table of options expected, got string: in Spark a compression codec; write "
            .. '{ compress = "gz" })', index, name)
    end
    options = options_table(index, name, options, names_of(streaming, "compress"))
    local compress = options.compress
    if compress ~= nil and compress ~= "gz" then
        local shown = type(compress) == "string" and "'" .. compress .. "'" or check.type_name(compress)
        check.fail("%s: option 'compress': %s is not a compression%s (valid: gz)", name, shown,
            type(compress) == "string" and check.suggestion(compress, CODECS) or "")
    end
    return { compress = compress, skipEmpty = flag(name, options, "skipEmpty") }
end

local function object_options(index, name, options, streaming)
    options = options_table(index, name, options, names_of(streaming, "compress"))
    return { compress = flag(name, options, "compress"), skipEmpty = flag(name, options, "skipEmpty") }
end

-- The number of the writable that an option names; nil when the option is not there.
local function writable(name, options, option)
    local value = options[option]
    if value == nil then
        return nil
    end
    local writables = require "moontide.worker.sequence"
    local kind = type(value) == "string" and writables.kind(value)
    if not kind then
        local shown = type(value) == "string" and "'" .. value .. "'" or check.type_name(value)
        check.fail("%s: option '%s': %s is not one of the writables%s (valid: %s)", name, option, shown,
            type(value) == "string" and check.suggestion(value, writables.names) or "", table.concat(writables.names, ", "))
    end
    return kind
end

local function hadoop_options(index, name, options, streaming)
    options = options_table(index, name, options, names_of(streaming, "key", "value", "format", "compress"))
    local result = {
        key = writable(name, options, "key"), value = writable(name, options, "value"),
        compress = flag(name, options, "compress"), skipEmpty = flag(name, options, "skipEmpty"),
        kind = "saveSequence",
    }
    local format = options.format
    if format == "text" then
        result.kind = "saveLines"
        if result.compress then
            check.fail("%s: option 'compress' goes with format = \"sequence\"; text is written plain", name)
        end
    elseif format ~= nil and format ~= "sequence" then
        check.fail("%s: option 'format': %s is not a format%s (valid: sequence, text)", name,
            type(format) == "string" and "'" .. format .. "'" or check.type_name(format),
            type(format) == "string" and check.suggestion(format, { "sequence", "text" }) or "")
    else
        local writables = require "moontide.worker.sequence"
        result.key = result.key or writables.kind("Text")
        result.value = result.value or writables.kind("Text")
    end
    return result
end

-- Writing ----------------------------------------------------------------------------------------------------------

-- What makes the node that writes to a directory.
local function object_writer(rdd, name, site, options)
    return function(saving)
        return rdd.node:narrow(operators.descriptor("saveObjects", name, site,
            { dir = saving.temporary, sync = saving.sync, compress = options.compress }), false)
    end
end

local function hadoop_writer(rdd, name, site, options)
    return function(saving)
        return rdd.node:narrow(operators.descriptor(options.kind, name, site, {
            dir = saving.temporary, sync = saving.sync, key = options.key, value = options.value, compress = options.compress,
        }), false)
    end
end

local function begin_save(self, name, directory)
    handles.begin(self, handles.RDD, name)
    check.text(1, name, directory, true)
end

local function text_writer(rdd, name, site, options)
    return function(saving)
        return operators.narrow(rdd, "saveText", name, site,
            { dir = saving.temporary, sync = saving.sync, compress = options.compress })
    end
end

--- Writes the records as text, one line each, to `directory`: part-00000 … and, last, _SUCCESS. A directory that
--- exists already is refused.
---
---     counts:saveAsTextFile("out")  -- out/part-00000 …: lines such as (ebb,2)
---     counts:saveAsTextFile("packed", { compress = "gz" })  -- packed/part-00000.gz …
---
--- An error value when a file cannot be written, or another writer is at work in the directory; what was begun is removed then.
--- As in Spark 0.9.
---@param directory string made, with those above it
---@param options? moontide.TextOptions default: not compressed
function RDD:saveAsTextFile(directory, options)
    begin_save(self, "saveAsTextFile", directory)
    options = text_options(2, "saveAsTextFile", options)
    save.check_new("saveAsTextFile", directory)
    local site = check.site()
    parts.save(self, directory, text_writer(self, "saveAsTextFile", site, options),
        { name = "saveAsTextFile", site = site, fresh = true, gzip = options.compress == "gz" })
end

--- Writes the records to `directory`, packed, so that sc:objectFile reads the same records again: part-00000 …
--- and, last, _SUCCESS. A directory that exists already is refused.
---
---     counts:saveAsObjectFile("backup")
---     sc:objectFile("backup"):count()
---
--- The parts are Hadoop SequenceFiles: keys NullWritable, values BytesWritable with up to 10 records each, as MessagePack.
--- As in Spark 0.9.
---@param directory string made, with those above it
---@param options? moontide.ObjectOptions default: not compressed
function RDD:saveAsObjectFile(directory, options)
    begin_save(self, "saveAsObjectFile", directory)
    options = object_options(2, "saveAsObjectFile", options)
    save.check_new("saveAsObjectFile", directory)
    local site = check.site()
    parts.save(self, directory, object_writer(self, "saveAsObjectFile", site, options),
        { name = "saveAsObjectFile", site = site, fresh = true })
end

--- Writes pairs to `directory` as Hadoop's output formats do: part-00000 … and, last, _SUCCESS. A directory that exists
--- already is refused.
---
---     counts:saveAsHadoopFile("counts", { key = "Text", value = "IntWritable" })
---     counts:saveAsHadoopFile("lines", { format = "text" })   -- word, tab, count
---
--- The format "sequence" makes SequenceFiles of two writables: Text and BytesWritable hold strings, IntWritable and
--- LongWritable whole numbers, FloatWritable and DoubleWritable numbers, BooleanWritable true and false, NullWritable
--- moontide.null. "text" makes lines of key, tab and value, and leaves out what is moontide.null; without `key` and
--- `value` these may be anything. A record that does not fit is an error. As in Spark 0.9.
---@param directory string made, with those above it
---@param options? moontide.HadoopOptions default: a SequenceFile of Text and Text, not compressed
function RDD:saveAsHadoopFile(directory, options)
    begin_save(self, "saveAsHadoopFile", directory)
    options = hadoop_options(2, "saveAsHadoopFile", options)
    save.check_new("saveAsHadoopFile", directory)
    local site = check.site()
    parts.save(self, directory, hadoop_writer(self, "saveAsHadoopFile", site, options),
        { name = "saveAsHadoopFile", site = site, fresh = true })
end

local function begin_output(self, name, prefix, suffix)
    local scope = operators.begin(self, name)
    if prefix ~= nil then
        check.text(1, name, prefix)
    end
    if suffix ~= nil then
        check.text(2, name, suffix)
    end
    return scope
end

-- Registers an output that writes each batch to a directory of its own.
local function save_batches(stream, scope, name, prefix, suffix, options, writer)
    local site = check.site()
    save.claim(scope.life, name, site, prefix, suffix)
    scope.output(stream, name, site, function(rdd, time)
        parts.save(rdd, save.name(prefix, suffix, time), writer(rdd, name, site, options),
            { name = name, site = site, skip_empty = options.skipEmpty, gzip = options.compress == "gz" })
    end)
end

--- Output: writes each batch to a directory `prefix-TIME.suffix` of text files, one for each partition, one line for
--- each record, and `_SUCCESS` last. A directory that an earlier run has left is replaced; one that another job has completed
--- since this one began, or is at work in, is an error, and so is a second output of this context with the same names. So
--- a batch that runs again, after a crash, is there once, whole or not at all: what saveTo asks of a sink, by name.
---
---     counts:saveAsTextFiles("out/counts", "txt")  -- out/counts-1357008430000.txt/part-00000 …
---     errors:saveAsTextFiles("out/errors", nil, { skipEmpty = true, compress = "gz" })
---
--- Guide: "Output Operations".
---@param prefix string? path that the names of the directories begin with; nil or "": the batch time alone
---@param suffix? string default none
---@param options? moontide.TextOptions default: not compressed, empty batches too
function DStream:saveAsTextFiles(prefix, suffix, options)
    local scope = begin_output(self, "saveAsTextFiles", prefix, suffix)
    options = text_options(3, "saveAsTextFiles", options, true)
    save_batches(self, scope, "saveAsTextFiles", prefix, suffix, options, text_writer)
end

--- Output: writes each batch to a directory `prefix-TIME.suffix` of object files, which sc:objectFile reads; see
--- RDD:saveAsObjectFile, and DStream:saveAsTextFiles for directories that are there already.
---
---     counts:saveAsObjectFiles("out/counts")  -- out/counts-1357008430000/part-00000 …
---
--- Guide: "Output Operations".
---@param prefix string? path that the names of the directories begin with; nil or "": the batch time alone
---@param suffix? string default none
---@param options? moontide.ObjectOptions default: not compressed, empty batches too
function DStream:saveAsObjectFiles(prefix, suffix, options)
    local scope = begin_output(self, "saveAsObjectFiles", prefix, suffix)
    options = object_options(3, "saveAsObjectFiles", options, true)
    save_batches(self, scope, "saveAsObjectFiles", prefix, suffix, options, object_writer)
end

--- Output: writes each batch of pairs to a directory `prefix-TIME.suffix` in one of Hadoop's formats; see
--- RDD:saveAsHadoopFile, and DStream:saveAsTextFiles for directories that are there already.
---
---     counts:saveAsHadoopFiles("out/counts", "seq", { key = "Text", value = "IntWritable" })
---
--- Guide: "Output Operations".
---@param prefix string? path that the names of the directories begin with; nil or "": the batch time alone
---@param suffix? string default none
---@param options? moontide.HadoopOptions default: a SequenceFile of Text and Text, not compressed, empty batches too
function DStream:saveAsHadoopFiles(prefix, suffix, options)
    local scope = begin_output(self, "saveAsHadoopFiles", prefix, suffix)
    options = hadoop_options(3, "saveAsHadoopFiles", options, true)
    save_batches(self, scope, "saveAsHadoopFiles", prefix, suffix, options, hadoop_writer)
end

handles.add { RDD = RDD, DStream = DStream }
