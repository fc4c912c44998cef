-- A million lines through a real socket, counted exactly: in bursts, and when the server goes away in the middle.

local lineserver = require "moontide.lineserver"
local moontide = require "moontide"
local generator = require "spec.support.text_generator"
local tempdir = require "spec.support.tempdir"

local sanitized = (os.getenv("MOONTIDE_SANITIZE") or "") ~= ""
local total_lines = sanitized and 50000 or 1000000
local patience = 240 -- seconds

describe("word count over a socket", function()
    local dir, path, text

    setup(function()
        dir = tempdir.new()
        path = dir:file("words.txt")
        -- The server repeats the file until it has sent all lines.
        text = generator.file(path, "words", { lines = total_lines / 10, width = 50, vocabulary = 2000, seed = 11 })
    end)

    teardown(function()
        dir:remove()
    end)

    -- Counts what comes until `lines` have been counted, calling `between()` now and then.
    local function count(port, lines, between)
        local ssc = moontide.StreamingContext { master = "local[2]", appName = "spec", batch = 50,
            conf = { ["socket.reconnect"] = 50 } }
        finally(function() ssc:stop() end)
        local counts, batches, received = {}, 0, 0
        local input = ssc:socketTextStream("127.0.0.1", port)
        input:flatMap(function(line) return line:gmatch("%S+") end)
            :map(function(word) return word, 1 end)
            :reduceByKey(function(a, b) return a + b end)
            :foreachRDD(function(rdd)
                for word, n in pairs(rdd:collectAsMap()) do
                    counts[word] = (counts[word] or 0) + n
                end
                batches = batches + 1
            end)
        input:count():foreachRDD(function(rdd) received = received + rdd:first() end)
        ssc:start()
        local deadline = lineserver.clock() + patience
        while received < lines do
            assert(not ssc:awaitTerminationOrTimeout(20), "the context stopped by itself")
            between(received)
            assert(lineserver.clock() < deadline, "only " .. received .. " lines came")
        end
        -- One more batch: nothing may come after the last line.
        local last = batches
        while batches < last + 2 do
            assert(not ssc:awaitTerminationOrTimeout(20), "the context stopped by itself")
        end
        return counts, received
    end

    local function times_ten(counts)
        local result = {}
        for word, n in pairs(counts) do
            result[word] = 10 * n
        end
        return result
    end

    it("counts a million lines that come in bursts", function()
        local server = assert(lineserver.start { file = path, count = total_lines, rate = 400000, interval = 70,
            keep = true })
        finally(function() server:stop() end)
        local counts, received = count(server.port, total_lines, function() end)
        assert.equal(total_lines, received)
        assert.same(times_ten(text.counts), counts)
    end)

    it("loses and doubles nothing when the server restarts in the middle", function()
        -- A multiple of the file's lines: the second server starts where the first one ended.
        local first_part = 0.4 * total_lines
        local server = assert(lineserver.start { file = path, count = first_part, clients = 1 })
        local port, restarted = server.port, false
        finally(function() server:stop() end)
        local sent
        local counts, received = count(port, total_lines, function()
            local event = not restarted and server:event(0)
            if event and event:match("^sent") then
                sent = tonumber(event:match("^sent (%d+)"))
                server:stop()
                server = assert(lineserver.start { file = path, port = port, count = total_lines - sent,
                    clients = 1 })
                restarted = true
            end
        end)
        assert.is_true(restarted)
        assert.equal(first_part, sent)
        assert.equal(total_lines, received)
        assert.same(times_ten(text.counts), counts)
    end)

    it("counts all that the kernel had taken when the server is killed", function()
        local server = assert(lineserver.start { file = path, rate = 20 * total_lines, interval = 5 })
        local port, killed, second = server.port, nil, nil
        finally(function()
            server:kill()
            if second then
                second:stop()
            end
        end)
        -- The words in the order in which they are sent, without an end: what was counted has to be a beginning of
        -- it, up to the place where the kill cut it, and then everything of the second server.
        local ssc = moontide.StreamingContext { master = "local[2]", appName = "spec", batch = 50,
            conf = { ["socket.reconnect"] = 50 } }
        finally(function() ssc:stop() end)
        local lines, after = {}, 0
        ssc:socketTextStream("127.0.0.1", port):foreachRDD(function(rdd)
            for _, line in ipairs(rdd:collect()) do
                if line:sub(1, 7) == "second " then
                    after = after + 1
                else
                    lines[#lines + 1] = line
                end
            end
        end)
        ssc:start()
        local deadline = lineserver.clock() + patience
        while after < 1000 do
            assert(not ssc:awaitTerminationOrTimeout(10), "the context stopped by itself")
            if not killed and #lines >= total_lines / 20 then
                killed = true
                server:kill()
                second = assert(lineserver.start { port = port, text = ("second server\n"):rep(1000), keep = true })
            end
            assert(lineserver.clock() < deadline, "only " .. #lines .. " and " .. after .. " lines came")
        end
        assert.equal(1000, after)

        local whole = {}
        for line in io.lines(path) do
            whole[#whole + 1] = line
        end
        for index = 1, #lines - 1 do
            if lines[index] ~= whole[(index - 1) % #whole + 1] then
                error(string.format("line %d is '%s'", index, lines[index]))
            end
        end
        -- The last line may have been cut by the kill.
        local last = whole[(#lines - 1) % #whole + 1]
        assert.equal(last:sub(1, #lines[#lines]), lines[#lines])
    end)
end)
