--- SequenceFiles through FFI (host/format/sequence_writer.h, sequence_reader.h, writable.h): writing parts and reading ranges in
--- workers, and the names of the writables for checks of options.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local current = require "moontide.worker.current"
local failure = require "moontide.worker.failure"

local ffi, C = fast.ffi, fast.C
local decode = codec.decode

local sequence = {}

local FORMS = {
    sequenceFile = C.TIDE_SEQUENCE_PAIRS, objectFile = C.TIDE_SEQUENCE_OBJECTS, checkpoint = C.TIDE_SEQUENCE_OBJECTS,
}
local UNFIT = C.TIDE_EINVAL

--- Records in one value of an object file.
sequence.GROUP = C.TIDE_SEQUENCE_GROUP

--- Where failing functions of C leave their message.
local err = ffi.new "struct tide_error"
sequence.err = err

local UNUSABLE = "the file cannot be used"

local function message() return failure.take(err, UNUSABLE) end

--- Raises what a function of C has reported.
---@param op table operator that failed
local function fail(op) failure.from_c(op, err, UNUSABLE, op.advice) end
sequence.fail = fail

-- Writables -----------------------------------------------------------------------------------------------------

--- The writables by name, in the order of enum tide_writable.
---@type string[]
sequence.names = {}
for kind = 1, C.TIDE_WRITABLES - 1 do sequence.names[kind] = ffi.string(C.tide_writable_name(kind)) end

--- The number of a writable, or nil when there is none of that name. The name may have its package in front.
---@param name string
---@return integer?
function sequence.kind(name)
    local kind = tonumber(C.tide_writable_find(name, #name))
    return kind > 0 and kind or nil
end

local scratch = codec.writer()
local shown = ffi.gc(ffi.new "struct tide_buffer", C.tide_buffer_destroy)

--- The text that Hadoop shows for a value as this writable; "" for NullWritable.
---@param kind integer
---@param value any
---@return string? text nil when the value does not fit
---@return string? reason
function sequence.text(kind, value)
    scratch.pos = 0
    codec.put(scratch, value)
    shown.size = 0
    local code = C.tide_writable_text(kind, scratch.data, scratch.data + scratch.pos, shown, err)
    if code ~= 0 then
        return nil, message()
    end
    return ffi.string(shown.data, shown.size)
end

-- Writing --------------------------------------------------------------------------------------------------------

--- Opens a part file; raises when that fails. The task's cleanup deletes the writer unless `finish` did.
---@param state table state of a terminal; its `P` becomes the writer
---@param op table its operator
---@param path string
---@param key integer writable
---@param value integer writable
function sequence.open(state, op, path, key, value)
    local writer = C.tide_sequence_writer_new(path, key, value, op.compress, err)
    if writer == nil then
        fail(op)
    end
    state.part = writer
    local cleanup = state.execution.cleanup
    cleanup[#cleanup + 1] = function()
        if state.part ~= nil then
            C.tide_sequence_writer_delete(state.part)
        end
        state.part = nil
    end
end

local checksum = ffi.new "struct tide_file_checksum"

--- Completes the part file of a terminal.
---@param checked? boolean whether its checksum is wanted
---@return { [1]: number, [2]: number, [3]: number }? checksum its size and the halves of its checksum (host/format/file_checksum.h)
function sequence.finish(state, op, checked)
    if C.tide_sequence_writer_finish(state.part, op.sync or false, err) ~= 0 then
        fail(op)
    end
    if checked then
        C.tide_sequence_writer_checksum(state.part, checksum)
    end
    C.tide_sequence_writer_delete(state.part)
    state.part = nil
    return checked and { tonumber(checksum.size), checksum.hash[0], checksum.hash[1] } or nil
end

--- After tide_sequence_writer_add has failed with `code`: returns the reason when the record does not fit, else raises.
---@param code integer
---@param op table
---@return string reason "the value is the number 1.5: IntWritable holds …"
function sequence.unfit(code, op)
    if code ~= UNFIT then
        fail(op)
    end
    return message()
end

-- Reading --------------------------------------------------------------------------------------------------------

-- `op` has the name and the site of the method that was called, and the form of the file where that is not the name.
local function open_range(split, op)
    local reason = require("moontide.worker.byte_source").shrank(split[1], split[4])
    if reason then
        failure.broken(op, reason)
    end
    local reader = C.tide_sequence_reader_new(split[1], split[2], split[3], FORMS[op.form or op.name], err)
    if reader == nil then
        fail(op)
    end
    local closed = false
    local function close()
        if not closed then
            C.tide_sequence_reader_delete(reader)
        end
        closed = true
    end
    current.cleanup[#current.cleanup + 1] = close
    return reader, close
end

-- The records of a range, as an iterator of values or of pairs.
local function records_of(split, op)
    local reader, close = open_range(split, op)
    local cancelled = current.cancelled
    local slot = ffi.new "struct tide_block *[1]"
    local block, p, at, left, arity = nil, nil, 0, 0, 0
    local function refill()
        if block ~= nil then
            C.tide_block_release(ffi.gc(block, nil))
        end
        block = nil
        if cancelled ~= nil and cancelled[0] ~= 0 then
            error("cancelled", 0)
        end
        local more = C.tide_sequence_reader_next(reader, slot, err)
        if more < 0 then
            fail(op)
        end
        if more == 0 then
            close()
            return false
        end
        block = ffi.gc(slot[0], C.tide_block_release)
        if arity ~= 0 and arity ~= block.arity then
            failure.broken(op, ("%s: at byte %d: the group there has %s, those before it %s; a dataset is of one kind"):format(split[1],
                tonumber(C.tide_sequence_reader_mixed_at(reader)), arity == 1 and "pairs" or "single values",
                arity == 1 and "single values" or "pairs"))
        end
        p, at, left, arity = block.data, 0, block.count, block.arity
        return true
    end
    return function()
        if left == 0 and not refill() then
            return nil
        end
        left = left - 1
        local a, b
        a, at = decode(p, at)
        if arity == 2 then
            b, at = decode(p, at)
        end
        return a, b
    end
end

--- What is in the range of a file that a partition stands for: its one record is {path, offset, length}.
---@param it fun(): table? the partition
---@param name string the method that was called, for messages
---@param site string where
---@param form "sequenceFile"|"objectFile" what the file is
---@return function|table records
function sequence.read(it, name, site, form)
    local split = it()
    if split == nil then
        return {}
    end
    return records_of(split, { name = name, site = site, form = form })
end

-- What a script can do about a checkpoint that can't be read.
local ADVICE = "; it is part of a checkpoint, and the dataset can't be computed from anything else any more: put the file back, "
    .. "or make the dataset anew from its source"

--- What is in the part of a checkpoint that a partition stands for: its one record is {path, size, hash, hash}. The file is
--- compared with its checksum before the first record is given.
---@param it fun(): table? the partition
---@param site string where the checkpoint was asked for
---@return function records
function sequence.read_checkpoint(it, site)
    local part, op = it(), { name = "checkpoint", site = site, advice = ADVICE }
    checksum.size, checksum.hash[0], checksum.hash[1] = part[2], part[3], part[4]
    if C.tide_file_checksum_check(checksum, part[1], err) ~= 0 then
        fail(op)
    end
    return records_of({ part[1], 0, part[2] }, op)
end

return sequence
