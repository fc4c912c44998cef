-- Every conformance case, one test each. What needs a feature that does not exist yet is pending, with its reason.

local runner = require "spec.conformance.runner"

describe("conformance", function()
    local summary = { passed = 0, failed = 0, missing = 0, names = { failed = {}, missing = {} } }

    for _, case in ipairs(runner.load()) do
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
