-- Writes one part file of text: saveAsTextFile, and saveAsHadoopFile with format = "text". Runs in a worker; the driver
-- has made the directory and renames the parts when all of them are complete.

local failure = require "moontide.worker.failure"

local save = {}

local Part = {}
Part.__index = Part

local BUFFER = 64 * 1024

local function fail(path, reason, op)
    reason = tostring(reason)
    if reason:sub(1, #path + 2) == path .. ": " then
        reason = reason:sub(#path + 3)
    end
    local text = string.format("cannot write %s: %s", path, reason)
    if op then
        failure.broken(op, text)
    end
    error(text, 0)
end

--- The path of part-NNNNN.
--- @param directory string
--- @param partition integer from 0
--- @return string
function save.part_path(directory, partition)
    return string.format("%s/part-%05d", directory, partition)
end

--- Opens part-NNNNN in `directory`, replacing what an earlier attempt left there.
---
---     local part = save.open_part(dir, 3)
---     part:line("(word,1)")
---     part:close()
---
--- Failures raise an error with the path and the reason.
--- @param directory string
--- @param partition integer from 0
--- @param op? table the operator that writes, for messages
--- @return table part
function save.open_part(directory, partition, op)
    local path = save.part_path(directory, partition)
    local file, reason = io.open(path, "wb")
    if not file then
        fail(path, reason, op)
    end
    file:setvbuf("full", BUFFER)
    return setmetatable({ file = file, path = path, op = op }, Part)
end

--- Writes one line; the line end is added.
--- @param text string
function Part:line(text)
    local written, reason = self.file:write(text, "\n")
    if not written then
        fail(self.path, reason, self.op)
    end
end

--- Finishes the file. A disk that is full shows here at the latest.
function Part:close()
    self.done = true
    local flushed, reason = self.file:flush()
    local closed, close_reason = self.file:close()
    if not (flushed and closed) then
        fail(self.path, reason or close_reason, self.op)
    end
end

--- Closes a file that will not be finished, because the task failed; nothing when it was closed.
function Part:abandon()
    if not self.done then
        self.done = true
        self.file:close()
    end
end

return save
