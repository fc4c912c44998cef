--- Parts of saveAsTextFile and of saveAsHadoopFile with format = "text", and the commit that moves the parts of any output to their
--- names. Runs in workers, which may wait for the disk.

local fast = require "moontide.wire.ffi"
local failure = require "moontide.worker.failure"

local ffi, C = fast.ffi, fast.C

local save = {}

local err = ffi.new "struct tide_error"

local UNWRITABLE = "it cannot be written"

--- The path of part-NNNNN.
---@param directory string
---@param partition integer from 0
---@param gzip? boolean
---@return string
function save.part_path(directory, partition, gzip)
    return ("%s/part-%05d%s"):format(directory, partition, gzip and ".gz" or "")
end

--- Raises that a part can't be written.
---@param op table the operator that writes
function save.fail(op) failure.from_c(op, err, UNWRITABLE) end

--- Opens the part of a partition. The task's cleanup closes it unless `finish` did. `state.part` becomes the part; lines are added by
--- `C.tide_text_writer_line`, which gives 0.
---@param state table state of a terminal
---@param op table the operator that writes, with dir, compress and sync
function save.open(state, op)
    local gzip = op.compress == "gz"
    local part = C.tide_text_writer_new(save.part_path(op.dir, state.execution.partition, gzip), gzip, err)
    if part == nil then
        save.fail(op)
    end
    state.part = part
    local cleanup = state.execution.cleanup
    cleanup[#cleanup + 1] = function()
        if state.part ~= nil then
            C.tide_text_writer_delete(state.part)
        end
        state.part = nil
    end
end

--- Finishes the part. A disk that is full shows here at the latest.
function save.finish(state, op)
    if C.tide_text_writer_finish(state.part, op.sync or false, err) ~= 0 then
        save.fail(op)
    end
end

--- Where functions of C leave their message.
save.err = err

--- Puts the parts of an output into place.
---@param task { directory: string, attempt: string, parts: integer, made: integer, begun: ffi.cdata*, gzip: boolean, sync: boolean }
---@return string mark or, when it failed, the reason
---@return boolean done
function save.commit(task)
    local parts = ffi.new("struct tide_output_directory_parts", task.parts, task.made, task.begun, task.gzip, task.sync)
    local mark = ffi.new("char[?]", C.TIDE_OUTPUT_DIRECTORY_MARK)
    if C.tide_output_directory_commit(task.directory, task.attempt, parts, mark, err) ~= 0 then
        return failure.take(err, UNWRITABLE), false
    end
    return ffi.string(mark), true
end

return save
