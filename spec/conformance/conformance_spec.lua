-- Every conformance case, and those of our own in the same form (edges.json), one test each.
-- What needs a feature that does not exist yet is pending, with its reason.

local runner = require "spec.conformance.runner"

describe("conformance", function()
    local summary = { passed = 0, failed = 0, missing = 0, names = { failed = {}, missing = {} } }

    local all = runner.load()
    for _, case in ipairs(runner.load(runner.edges_path)) do
        all[#all + 1] = case
    end

    for _, case in ipairs(all) do
        local name = case.kind .. " " .. case.id .. (case.difference and " (differs on purpose)" or "")
        it(name, function()
            local status, reason = runner.run(case)
            summary[status] = summary[status] + 1
            if status ~= "passed" then
                table.insert(summary.names[status], case.id .. ": " .. reason)
            end
            if status == "missing" then
                pending(reason)
            end
            assert(status == "passed", reason)
        end)
    end

    teardown(function()
        print(runner.describe(summary))
    end)
end)
