-- Visits of a web site: pages that a visitor asks for are one visit until nothing was asked for during two batches.
--
-- Shows: mapWithState with a timeout, which touches only the keys of the batch and those whose time has come, and
-- stateSnapshots; checkpoint.
--
--     moontide run examples/sessions_map_with_state.lua
--
-- Prints each visit when it ends, and how many are open after each batch.

local moontide = require "moontide"

local requests = {
    { "ann /home", "bob /home" },
    { "ann /news" },
    { "ann /news", "eve /home" },
    { "bob /about" },
}

local directory = io.popen("mktemp -d"):read("*l") -- one that nobody else has

local batch = moontide.milliseconds(50)
local ssc = moontide.StreamingContext("local[2]", "Sessions", batch)
ssc:checkpoint(directory)

-- The state of a visitor is the list of pages.
local visit = moontide.StateSpec.func(function(visitor, page, state)
    if state:isTimingOut() then
        return string.format("%s left after %d pages: %s", visitor, #state:get(), table.concat(state:get(), " "))
    end
    local pages = state:getOption() or {}
    pages[#pages + 1] = page
    state:update(pages)
end):numPartitions(2):timeout(2 * batch)

local ended = ssc:queueStream(requests)
    :map(function(line) return line:match("^(%S+) (%S+)$") end)
    :mapWithState(visit)

local batches, printed = 0, {}
ended:foreachRDD(function(rdd)
    printed = rdd:collect()
    table.sort(printed)
end)
ended:stateSnapshots():foreachRDD(function(rdd)
    local open = rdd:count()
    batches = batches + 1
    if batches > 8 then
        return
    end
    print("batch " .. batches .. ", open visits: " .. open)
    for _, text in ipairs(printed) do
        print("  " .. text)
    end
end)

ssc:start()
while batches < 8 do
    ssc:awaitTerminationOrTimeout(10)
end
ssc:stop()
os.remove(directory)

--[[ prints:
batch 1, open visits: 2
batch 2, open visits: 2
batch 3, open visits: 3
batch 4, open visits: 3
batch 5, open visits: 3
batch 6, open visits: 1
  ann left after 3 pages: /home /news /news
  eve left after 1 pages: /home
batch 7, open visits: 0
  bob left after 2 pages: /home /about
batch 8, open visits: 0
]]
