--- The leaves of a plan: the inputs of the task itself, which are blocks, maybe brought by a shuffle, or ranges of text files.
local fast = require "moontide.wire.ffi"
local failure = require "moontide.worker.failure"
local kinds = require "moontide.worker.kinds"

local ffi, C = fast.ffi, fast.C

local leaf = {}

--- The source of a feed that reads the next input of the task.
---@param read table? descriptor of the exchange's reading side
---@return table source
function leaf.source(read) return { leaf = true, read = read, exchange = read and kinds.need("exchange", read.kind) } end

--- The source of a feed that makes numbers of what its input describes (sc:range).
---@param op table
---@return table source
function leaf.range(op) return { leaf = true, range = true, op = op } end

kinds.register("source", "range", leaf.range)

local function run_file(feed, state, input)
    local execution = state.execution
    local task, err = execution.task, ffi.new "struct tide_error"
    local plan = ffi.new("struct tide_byte_source_plan", input.size, input.once, execution.cancelled)
    local reader = C.tide_text_reader_new(input.path, input.offset, input.length, plan, err)
    local slot = ffi.new "struct tide_block *[1]"
    local function close()
        C.tide_block_release(slot[0])
        slot[0] = nil
        if reader ~= nil then
            C.tide_text_reader_delete(reader)
        end
        reader = nil
    end
    local function fail()
        local code = err.code
        failure.complete(failure.take(err, "reading failed"), code)
    end
    if reader == nil then
        fail()
    end
    execution.cleanup[#execution.cleanup + 1] = close
    local stop, records = false, 0
    while not stop do
        local more = C.tide_text_reader_next(reader, slot, err)
        if more < 0 then
            fail()
        end
        if more == 0 then
            input.records = records
            break
        end
        records = records + slot[0].count
        task.records_in = task.records_in + slot[0].count
        stop = feed:run_block(state, slot[0])
        C.tide_block_release(slot[0])
        slot[0] = nil
    end
    close()
    return stop
end

--- Feeds the next input of the task.
---@param feed moontide.worker.Feed its source is one of leaf.source or leaf.range
---@param state moontide.worker.State
---@return boolean stop the sink wants no more
function leaf.run(feed, state)
    local execution, source = state.execution, feed.source
    local input = execution.inputs[execution.cursor]
    execution.cursor = execution.cursor + 1
    if input.kind == C.TIDE_TASK_INPUT_FILE then
        return run_file(feed, state, input)
    end
    local exchange = source.exchange
    local list = exchange and exchange(source.read, input.blocks, execution) or input.blocks
    local run, stop = source.range and feed.run_ranges or feed.run_block, false
    execution.task.records_in = execution.task.records_in + C.tide_blocks_records(list)
    for at = 0, list.count - 1 do
        stop = run(feed, state, list.items[at])
        if stop then
            break
        end
    end
    if exchange then
        C.tide_blocks_destroy(list)
    end
    return stop
end

return leaf
