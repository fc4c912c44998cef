-- moontide.lineserver: what clients get, when, and that no server outlives its script.

local lineserver = require "moontide.lineserver"
local shell = require "spec.support.shell"
local sockets = require "moontide.lineserver.sockets"
local tempdir = require "spec.support.tempdir"

local servers = {}

local function start(options)
    local server = assert(lineserver.start(options))
    servers[#servers + 1] = server
    return server
end

after_each(function()
    for _, server in ipairs(servers) do
        server:stop()
    end
    servers = {}
end)

-- What a client reads until the server closes.
local function read_all(port)
    local script = string.format("exec 3<>/dev/tcp/127.0.0.1/%d; cat <&3", port)
    local result = shell.run("timeout 20 bash -c " .. shell.quote(script))
    assert.equal(0, result.code, result.err)
    return result.out
end

local function count_lines(text)
    return select(2, text:gsub("\n", ""))
end

describe("lineserver.start", function()
    it("sends a text as it is, to each client", function()
        local text = "one\ntwo \255\0\1\r\nthree, unterminated"
        local server = start { text = text }
        assert.equal(text, read_all(server.port))
        assert.equal(text, read_all(server.port))
    end)

    it("repeats a file until it has sent `count` lines, and says so", function()
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local server = start { file = dir:write("lines", "a\nbb\nccc\n"), count = 8, clients = 1 }
        assert.equal("a\nbb\nccc\na\nbb\nccc\na\nbb\n", read_all(server.port))
        assert.matches("^client %d+$", server:event(10))
        assert.equal("sent 8 23", server:event(10))
        assert.same({ nil, "ended" }, { server:event(10) })
    end)

    it("sends nothing when there is nothing", function()
        assert.equal("", read_all(start { text = "" }.port))
        assert.equal("", read_all(start { text = "a\n", count = 0 }.port))
    end)

    it("makes text of its own, the same for the same seed", function()
        local first = read_all(start { count = 5000, seed = 3 }.port)
        assert.equal(5000, count_lines(first))
        assert.equal(first, read_all(start { count = 5000, seed = 3 }.port))
        assert.not_equal(first, read_all(start { count = 5000, seed = 4 }.port))
        assert.is_nil(first:find("[^%a \n]"))
    end)

    it("keeps to the rate: lines come when they are due, none early", function()
        local server = start { count = 100, rate = 1000, interval = 20 }
        local before = lineserver.clock()
        assert.equal(100, count_lines(read_all(server.port)))
        local connected = tonumber(server:event(10):match("^client (%d+)")) / 1e6
        assert.equal("sent 100", server:event(10):match("^sent %d+"))
        -- The first of five bursts is due at once, so the last one 80 ms later.
        assert(lineserver.clock() - connected >= 0.08, "too fast")
        assert(connected >= before)
    end)

    it("marks bursts with the moment at which they were due", function()
        local server = start { text = "line\n", count = 30, rate = 1000, interval = 10, marks = true }
        local text = read_all(server.port)
        local first, second, third = text:match("^@(%d+)\n" .. ("line\n"):rep(10) .. "@(%d+)\n" .. ("line\n"):rep(10)
            .. "@(%d+)\n" .. ("line\n"):rep(10) .. "$")
        assert(first, text)
        assert(math.abs(second - first - 10000) <= 1 and math.abs(third - second - 10000) <= 1)
    end)

    it("leaves the connection open when told to", function()
        local server = start { text = "one\ntwo\n", keep = true }
        local script = string.format("exec 3<>/dev/tcp/127.0.0.1/%d; read -r a <&3; read -r b <&3; echo $a $b;"
            .. " read -t 0.1 -r c <&3; echo $?", server.port)
        local result = shell.run("bash -c " .. shell.quote(script))
        assert.matches("^one two\n1%d%d\n$", result.out) -- more than 128: the time was over, not the input
        assert.matches("^client", server:event(10))
        assert.equal("sent 2 8", server:event(10))
        assert.equal("left", server:event(10))
    end)

    it("can be started again on the same port at once", function()
        local server = start { text = "first\n" }
        assert.equal("first\n", read_all(server.port))
        server:kill()
        local again = start { port = server.port, text = "second\n" }
        assert.equal(server.port, again.port)
        assert.equal("second\n", read_all(server.port))
    end)

    it("says why it cannot listen", function()
        local server = start { text = "a\n" }
        local second, err = lineserver.start { port = server.port }
        assert.is_nil(second)
        assert.matches("127%.0%.0%.1:" .. server.port, err)
        assert.matches("in use", err)
        second, err = lineserver.start { host = "nowhere" }
        assert.is_nil(second)
        assert.matches("'nowhere' is not an IPv4 address", err)
        second, err = lineserver.start { file = "/missing/file" }
        assert.is_nil(second)
        assert.matches("/missing/file", err)
    end)

    it("refuses wrong options at the caller's line", function()
        local function message(options)
            local ok, err = pcall(lineserver.start, options)
            assert.is_false(ok)
            return err
        end
        assert.matches("unknown option 'prot'.*port", message { prot = 1 })
        assert.matches("'rate' must be lines a second.*got %-1", message { rate = -1 })
        assert.matches("'port' must be a port from 0 to 65535, got string", message { port = "80" })
        assert.matches("not both", message { file = "a", text = "b" })
        assert.matches("a table of options expected, got number", message(5))
        local _, err = pcall(function() lineserver.start { prot = 1 } end)
        assert.matches("^spec/lineserver_spec%.lua:%d+: ", err)
    end)
end)

describe("a server", function()
    it("ends with its script, however that ends", function()
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local script = dir:write("script.lua", [[
            local server = assert(require("moontide.lineserver").start { text = "a\n", keep = true })
            print(server.pid)
            io.stdout:flush()
            io.read("*l")
        ]])
        -- Both processes hold the pipe that is read here: its end means that both are gone.
        local fifo = dir:file("fifo")
        shell.run("mkfifo " .. shell.quote(fifo))
        local command = shell.command({ shell.program, "run", script })
        local running = shell.start("sh -c " .. shell.quote("exec 2>&1 <>" .. fifo .. "; exec " .. command))
        local pid = tonumber(running:read_line())
        assert.equal(0, shell.run("kill -0 " .. pid).code)
        running:signal("KILL")
        assert.equal(137, running:wait().code)
    end)

    it("closes its connections when it is stopped", function()
        local server = start { text = "a\n", keep = true }
        local client = shell.start("timeout 20 bash -c "
            .. shell.quote(string.format("exec 3<>/dev/tcp/127.0.0.1/%d; cat <&3", server.port)))
        assert.equal("a", client:read_line())
        server:stop()
        server:stop()
        assert.same({ out = "a\n", err = "", code = 0 }, client:wait())
        assert.is_nil((sockets.accept(-1)))
    end)
end)
