--- Terminals that write a partition as one part file of Hadoop's formats: groups of packed records (saveAsObjectFile), pairs
--- of writables (saveAsHadoopFile), and lines of key and value (the same, as text). They have the shape described in
--- accumulate.lua, and yield one number: how many records there were.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local failure = require "moontide.worker.failure"
local save = require "moontide.worker.save"
local sequence = require "moontide.worker.sequence"
local sinks = require "moontide.worker.sinks"
local text_form = require "moontide.base.text_form"
local values = require "moontide.base.values"

local C = fast.C
local put, null = codec.put, values.null

local hadoop = {}

-- Object files ---------------------------------------------------------------------------------------------------

local function write_group(S, op)
    local W = S.W
    if C.tide_sequence_writer_group(S.P, W.data, W.pos, sequence.err) ~= 0 then
        sequence.fail(op)
    end
    S.group, W.pos = 0, 0
end

--- A value is the arity of its records and the records, all as MessagePack (host/format/sequence_reader.h).
local Objects = { prologue = "local W = S.W" }
Objects.__index = Objects

function Objects:constants(K, feed)
    K.put = put
    sinks.use_arity(K, feed)
    K.write_group = function(S) write_group(S, self.op) end
end

function Objects:begin(S)
    local key, value = sequence.kind "NullWritable", sequence.kind "BytesWritable"
    sequence.open(S, self.op, save.part_path(self.op.dir, S.partition), key, value)
    S.W, S.n, S.group = codec.writer(), 0, 0
end

function Objects:record(g, arity, a, b)
    local op = self.op
    g:uses("put", "write_group")
    sinks.check_arity(g, op, arity, a, b)
    g:line(op, ("if S.group == 0 then put(W, %d) end"):format(arity))
    g:line(op, ("put(W, %s)"):format(a))
    if arity == 2 then
        g:line(op, ("put(W, %s)"):format(b))
    end
    g:line(op, ("S.n = S.n + 1 S.group = S.group + 1 if S.group == %d then write_group(S) end"):format(sequence.GROUP))
end

-- Completes the file: true gives its checksum.
function Objects:complete(S, checked)
    if S.group > 0 then
        write_group(S, self.op)
    end
    codec.free(S.W)
    return sequence.finish(S, self.op, checked)
end

function Objects:finish(S, emit)
    self:complete(S)
    emit(S.n)
end

--- The same for a part of a checkpoint: yields what tells later whether the file is still the one that was written.
local Checkpoint = setmetatable({ prologue = Objects.prologue }, Objects)
Checkpoint.__index = Checkpoint

function Checkpoint:finish(S, emit) emit(self:complete(S, true)) end

-- Pairs ----------------------------------------------------------------------------------------------------------

local function not_pairs(op)
    return function(a)
        failure.broken(op, "needs (key, value) pairs, but the record is the single value " .. failure.preview(a)
            .. "; make pairs with map(function(x) return key, value end), with moontide.null for what is to be left out")
    end
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

local Sequence = { prologue = "local W = S.W" }
Sequence.__index = Sequence

function Sequence:constants(K)
    local op = self.op
    K.C, K.put, K.err, K.not_pairs = C, put, sequence.err, not_pairs(op)
    K.not_written = function(code, a, b)
        local reason = sequence.unfit(code, op)
        local side = reason:match("^the (%l+)")
        unfit(op, side, side == "key" and a or b, ("%s, in the record %s"):format(reason, failure.preview(a, b)))
    end
end

function Sequence:begin(S)
    local op = self.op
    sequence.open(S, op, save.part_path(op.dir, S.partition), op.key, op.value)
    S.W, S.n = codec.writer(), 0
end

function Sequence:record(g, arity, a, b)
    local op = self.op
    for _, name in ipairs { "put", "err", "not_pairs", "not_written" } do g:uses(name) end
    if arity == 1 then
        return g:line(op, ("not_pairs(%s)"):format(a))
    end
    g:line(op, ("W.pos = 0 put(W, %s) put(W, %s)"):format(a, b))
    g:line(op, "local code = C.tide_sequence_writer_add(S.P, W.data, W.pos, err)")
    g:line(op, ("if code ~= 0 then not_written(code, %s, %s) end S.n = S.n + 1"):format(a, b))
end

function Sequence:finish(S, emit)
    codec.free(S.W)
    sequence.finish(S, self.op)
    emit(S.n)
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

local Lines = { prologue = "" }
Lines.__index = Lines

function Lines:constants(K)
    local key_text, value_text = side_text(self.op, "key"), side_text(self.op, "value")
    K.not_pairs = not_pairs(self.op)
    K.write_line = function(S, a, b)
        local key, value = key_text(a), value_text(b)
        local text = key and value and key .. "\t" .. value or key or value
        if text and C.tide_text_writer_line(S.part, text, #text, save.err) ~= 0 then
            save.fail(self.op)
        end
    end
end

function Lines:begin(S)
    save.open(S, self.op)
    S.n = 0
end

function Lines:record(g, arity, a, b)
    g:uses "not_pairs"
    g:uses "write_line"
    if arity == 1 then
        return g:line(self.op, ("not_pairs(%s)"):format(a))
    end
    g:line(self.op, ("write_line(S, %s, %s) S.n = S.n + 1"):format(a, b))
end

function Lines:finish(S, emit)
    save.finish(S, self.op)
    emit(S.n)
end

--- The makers of the terminals, for accumulate.kinds.
function hadoop.objects(op) return setmetatable({ op = op }, Objects) end
function hadoop.checkpoint(op) return setmetatable({ op = op }, Checkpoint) end
function hadoop.sequence(op) return setmetatable({ op = op }, Sequence) end
function hadoop.lines(op) return setmetatable({ op = op }, Lines) end

return hadoop
