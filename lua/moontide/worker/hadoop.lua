--- Ends of partitions that write a part file of Hadoop's formats: groups of packed records (saveAsObjectFile, checkpoints), pairs of
--- writables (saveAsHadoopFile), and lines of key and value (the same as text). They yield the number of records, a checkpoint the
--- checksum of its part.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local failure = require "moontide.worker.failure"
local kinds = require "moontide.worker.kinds"
local save = require "moontide.worker.save"
local sequence = require "moontide.worker.sequence"
local terminals = require "moontide.worker.terminals"
local text_form = require "moontide.base.text_form"
local values = require "moontide.base.values"

local C = fast.C
local put, null = codec.put, values.null

-- Object files ---------------------------------------------------------------------------------------------------

local function write_group(state, op)
    local W = state.writer
    if C.tide_sequence_writer_group(state.part, W.data, W.pos, sequence.err) ~= 0 then
        sequence.fail(op)
    end
    state.grouped, W.pos = 0, 0
end

--- A value is the arity of its records and the records, all as MessagePack (host/format/sequence_reader.h).
local Objects = terminals.class { prologue = "local W = S.writer" }

function Objects:constants(K, feed)
    K.put = put
    terminals.use_arity(K, feed)
    K.write_group = function(state) write_group(state, self.op) end
end

function Objects:begin(state)
    local key, value = sequence.kind "NullWritable", sequence.kind "BytesWritable"
    sequence.open(state, self.op, save.part_path(self.op.dir, state.execution.partition), key, value)
    state.writer, state.count, state.grouped = codec.writer(), 0, 0
end

function Objects:record(g, arity, a, b)
    local op = self.op
    g:uses("put", "write_group")
    terminals.check_arity(g, op, arity, a, b)
    g:line(op, "if S.grouped == 0 then put(W, $arity) end", { arity = arity })
    g:line(op, "put(W, $a)", { a = a })
    if arity == 2 then
        g:line(op, "put(W, $b)", { b = b })
    end
    g:line(op, "S.count = S.count + 1 S.grouped = S.grouped + 1 if S.grouped == $group then write_group(S) end", { group = sequence.GROUP })
end

-- Completes the file: true gives its checksum.
function Objects:complete(state, checked)
    if state.grouped > 0 then
        write_group(state, self.op)
    end
    codec.free(state.writer)
    return sequence.finish(state, self.op, checked)
end

function Objects:finish(state, emit)
    self:complete(state)
    emit(state.count)
end

--- The same for a part of a checkpoint: yields what tells later whether the file is still the one that was written.
local Checkpoint = terminals.class({}, Objects)

function Checkpoint:finish(state, emit) emit(self:complete(state, true)) end

-- Pairs ----------------------------------------------------------------------------------------------------------

local function not_pairs(op)
    return function(a) failure.not_pairs(op, a, ", with moontide.null for what is to be left out") end
end

local function whole(number) return number == math.floor(number) end

-- The writable for a value that its own does not hold.
local function advice(value)
    local kind = type(value)
    if kind == "string" then
        return "Text"
    end
    if kind == "boolean" then
        return "BooleanWritable"
    end
    if kind == "number" then
        return whole(value) and math.abs(value) < 2 ^ 63 and "LongWritable" or "DoubleWritable"
    end
    if kind == "cdata" then
        return "LongWritable"
    end
    if value == null then
        return "NullWritable"
    end
end

-- Raises that a key or value does not fit.
local function unfit(op, side, value, reason)
    local name = advice(value)
    local now = op[side] and sequence.names[op[side]]
    if name and name ~= now then
        reason = ('%s; choose with the option %s = "%s", or map it to something else'):format(reason, side, name)
    else
        reason = ("%s; map it to something that fits"):format(reason)
    end
    failure.broken(op, reason)
end

local Sequence = terminals.class { prologue = "local W = S.writer" }

function Sequence:constants(K)
    local op = self.op
    K.C, K.put, K.err, K.not_pairs = C, put, sequence.err, not_pairs(op)
    K.not_written = function(code, a, b)
        local reason = sequence.unfit(code, op)
        local side = reason:match("^the (%l+)")
        unfit(op, side, side == "key" and a or b, ("%s, in the record %s"):format(reason, failure.preview(a, b)))
    end
end

function Sequence:begin(state)
    local op = self.op
    sequence.open(state, op, save.part_path(op.dir, state.execution.partition), op.key, op.value)
    state.writer, state.count = codec.writer(), 0
end

function Sequence:record(g, arity, a, b)
    local op = self.op
    for _, name in ipairs { "put", "err", "not_pairs", "not_written" } do g:uses(name) end
    if arity == 1 then
        return g:line(op, "not_pairs($a)", { a = a })
    end
    g:line(op, "W.pos = 0 put(W, $a) put(W, $b)", { a = a, b = b })
    g:line(op, "local code = C.tide_sequence_writer_add(S.part, W.data, W.pos, err)")
    g:line(op, "if code ~= 0 then not_written(code, $a, $b) end S.count = S.count + 1", { a = a, b = b })
end

function Sequence:finish(state, emit)
    codec.free(state.writer)
    sequence.finish(state, self.op)
    emit(state.count)
end

-- Lines of key, tab, value -----------------------------------------------------------------------------------------

-- The text of one side of a pair, or nil when it is left out.
local function side_text(op, side)
    local kind = op[side]
    if not kind then
        return function(value) return value ~= null and text_form.value(value) or nil end
    end
    local omitted = kind == sequence.kind "NullWritable"
    return function(value)
        local text, reason = sequence.text(kind, value)
        if not text then
            unfit(op, side, value, ("the %s is %s"):format(side, reason))
        end
        return not omitted and text or nil
    end
end

local Lines = terminals.class {}

function Lines:constants(K)
    local key_text, value_text = side_text(self.op, "key"), side_text(self.op, "value")
    K.not_pairs = not_pairs(self.op)
    K.write_line = function(state, a, b)
        local key, value = key_text(a), value_text(b)
        local text = key and value and key .. "\t" .. value or key or value
        if text and C.tide_text_writer_line(state.part, text, #text, save.err) ~= 0 then
            save.fail(self.op)
        end
    end
end

function Lines:begin(state)
    save.open(state, self.op)
    state.count = 0
end

function Lines:record(g, arity, a, b)
    g:uses "not_pairs"
    g:uses "write_line"
    if arity == 1 then
        return g:line(self.op, "not_pairs($a)", { a = a })
    end
    g:line(self.op, "write_line(S, $a, $b) S.count = S.count + 1", { a = a, b = b })
end

function Lines:finish(state, emit)
    save.finish(state, self.op)
    emit(state.count)
end

kinds.register("partition", "saveObjects", terminals.maker(Objects))
kinds.register("partition", "saveCheckpoint", terminals.maker(Checkpoint))
kinds.register("partition", "saveSequence", terminals.maker(Sequence))
kinds.register("partition", "saveLines", terminals.maker(Lines))
