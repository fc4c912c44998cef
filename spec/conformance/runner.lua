-- Looks at every case of a file and tells for each one: passed, failed or missing.

local cases = require "spec.conformance.cases"
local differences = require "spec.conformance.differences"
local kinds = require "spec.conformance.kinds"

local runner = {}

--- The cases beside this file.
runner.default_path = debug.getinfo(1, "S").source:match("^@(.*)runner%.lua$") .. "cases.json"

--- Cases of the same form about edges that the others leave out.
runner.edges_path = runner.default_path:gsub("cases%.json$", "edges.json")

--- Reads the cases; those that differ on purpose get their changed expectation and carry the reason in
--- `difference`.
---@param path? string
---@return table[]
function runner.load(path)
    local list = cases.load(path or runner.default_path)
    for _, case in ipairs(list) do
        local difference = differences[case.id]
        if difference then
            case.difference = difference.reason
            difference.change(case)
        end
    end
    return list
end

-- Kinds about parts that are not there yet, and about parts that will never be.
local ABSENT = {
    statemap = "Spark's own table of states, seen from inside: spec/host/test_state_store.c asserts the same of the store, and the "
        .. "kinds state_record, state_rdd and property look at it as streams",
    limit = "the rate limiter of receivers",
    ui = "status pages",
    timeline = "checkpoint recovery",
    recover_plan = "checkpoint recovery",
}

--- Runs one case.
---@param case table
---@return "passed"|"failed"|"missing" status
---@return string? reason
function runner.run(case)
    local kind = kinds[case.kind]
    if not kind then
        return "missing", ABSENT[case.kind] and "not part of this release: " .. ABSENT[case.kind]
            or "the kind '" .. case.kind .. "' is not known"
    end
    local ok, status, reason = xpcall(kind, function(err)
        return type(err) == "string" and debug.traceback(err, 2) or tostring(err)
    end, case)
    if not ok then
        return "failed", status
    end
    return status, reason
end

--- Runs cases one after the other.
---@param list table[]
---@param report? fun(case: table, status: string, reason: string?) called after each
---@return { passed: integer, failed: integer, missing: integer, names: table<string, string[]> }
function runner.run_all(list, report)
    local summary = { passed = 0, failed = 0, missing = 0, names = { failed = {}, missing = {} } }
    for _, case in ipairs(list) do
        local status, reason = runner.run(case)
        summary[status] = summary[status] + 1
        local names = summary.names[status]
        if names then
            names[#names + 1] = case.id .. ": " .. reason
        end
        if report then
            report(case, status, reason)
        end
    end
    return summary
end

--- The summary for people: the names of what did not pass, and the counts.
---@param summary table as returned by run_all
---@return string
function runner.describe(summary)
    local lines = {}
    for _, status in ipairs({ "missing", "failed" }) do
        for _, name in ipairs(summary.names[status]) do
            lines[#lines + 1] = status .. ": " .. name
        end
    end
    lines[#lines + 1] = string.format("%d passed, %d failed, %d missing", summary.passed, summary.failed,
        summary.missing)
    return table.concat(lines, "\n")
end

return runner
