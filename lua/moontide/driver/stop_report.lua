--- Texts about a stop: what it waits for, and which received data it drops.

local closure = require "moontide.closure"
local listener = require "moontide.driver.listener"
local loop = require "moontide.driver.loop"

local stop_report = {}

--- The functions that workers still run for batches whose jobs the stop cancelled: a job ends at once, a function of the script when
--- it returns.
---@param life table see lifecycle.lua
---@return string[] descriptions
function stop_report.lingering(life)
    local found = {}
    if next(life.broken_off) then
        for _, text in ipairs(life.context.engine:describe()) do
            for batch in pairs(life.broken_off) do
                if text:find(batch, 1, true) then
                    found[#found + 1] = text
                    break
                end
            end
        end
    end
    return found
end

-- A function of the script as messages name it: "foreachRDD (job.lua:8), batch 2000 ms".
local function task_name(task)
    local text = ("%s (%s)"):format(task.name, task.site or closure.site(task.fn))
    return task.time and ("%s, batch %.0f ms"):format(text, task.time) or text
end

--- A list as the end of a message.
---@param texts string[]
---@return string "" for none
function stop_report.listed(texts)
    return #texts > 0 and "; running: " .. table.concat(texts, "; ") or ""
end

--- What a stop waits for, as the end of a message: functions of the script in workers and in the driver.
---@param life table
---@return string
function stop_report.running(life)
    local texts = life.context.engine:describe()
    local held_up_by = life.held_up_by
    if held_up_by then
        table.insert(texts, ("the script's own function %s for %.1f s"):format(task_name(held_up_by.task), held_up_by.seconds))
    end
    for _, task in ipairs(loop.waiting_tasks(life)) do
        if not held_up_by or held_up_by.task ~= task then
            table.insert(texts, task_name(task) .. (task.job and ", waiting for a job" or ""))
        end
    end
    return stop_report.listed(texts)
end

--- The received records that are dropped: a line for each input. Of a batch whose outputs have all been started nothing is lost
--- unless outputs were broken off.
---@param life table
---@return string[] texts
function stop_report.lost(life)
    local texts = {}
    for _, lost in ipairs(life.graph:lost()) do
        local broken_off = lost.begunToken > life.last_output or next(life.broken_off) ~= nil
        local parts, sum = {}, lost.records + lost.waiting + (broken_off and lost.begun or 0)
        if broken_off and lost.begun > 0 then
            parts[1] = ("%.0f of the batch of %.0f ms, which was not finished"):format(lost.begun, lost.begunTime)
        end
        if lost.batches > 1 then
            parts[#parts + 1] = ("%.0f of %.0f batches from %.0f to %.0f ms"):format(lost.records, lost.batches, lost.first,
                lost.last)
        elseif lost.batches == 1 then
            parts[#parts + 1] = ("%.0f of the batch of %.0f ms"):format(lost.records, lost.first)
        end
        if lost.waiting > 0 then
            parts[#parts + 1] = ("%.0f that were for no batch yet"):format(lost.waiting)
        end
        if sum > 0 then
            texts[#texts + 1] = ("%s: %.0f received records were not processed: %s"):format(
                listener.source(life, lost.node).name, sum, table.concat(parts, ", "))
        end
    end
    return texts
end

return stop_report
