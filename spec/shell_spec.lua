-- The helpers the other specs stand on: what they say about a program must be true.

local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

describe("shell.run", function()
    it("keeps stdout, stderr and the exit code apart", function()
        assert.same({ out = "a\n", err = "b\n", code = 3 }, shell.run("echo a; echo b >&2; exit 3"))
    end)

    it("gives the program its input, environment and folder", function()
        local result = shell.run('cat; printf %s "$WORD"; pwd', { input = "x\0y", env = { WORD = "it's" }, cwd = "/" })
        assert.same({ out = "x\0yit's/\n", err = "", code = 0 }, result)
    end)

    it("passes any word through quoting", function()
        local words = { "it's", "$HOME `x` \"y\" \\", "", "two\nlines" }
        assert.equal(table.concat(words, "|") .. "|", shell.run("printf '%s|' " .. shell.command(words)).out)
    end)

    it("ends a program that does not end by itself", function()
        assert.equal(124, shell.run("cat /dev/zero >/dev/null", { timeout = 0.1 }).code)
    end)
end)

describe("shell.start", function()
    it("reads lines while the program runs, then the rest", function()
        local running = shell.start("sh -c 'echo one; echo two; printf three; echo four >&2; exit 5'")
        assert.equal("one", running:read_line())
        assert.same({ out = "one\ntwo\nthree", err = "four\n", code = 5 }, running:wait())
    end)

    it("sends signals to the program itself", function()
        local running = shell.start("cat /dev/zero >/dev/null")
        running:signal("TERM")
        assert.same({ out = "", err = "", code = 128 + 15 }, running:wait())
    end)

    it("tells the end of the output from an empty line", function()
        local running = shell.start("printf '\\n'")
        assert.equal("", running:read_line())
        assert.is_nil(running:read_line())
        assert.same({ out = "\n", err = "", code = 0 }, running:wait())
    end)
end)

describe("tempdir", function()
    it("writes, reads and goes away", function()
        local dir = tempdir.new()
        local path = dir:write("a/b.txt", "content")
        assert.equal(dir.path .. "/a/b.txt", path)
        assert.equal("content", dir:read("a/b.txt"))
        assert.is_nil(dir:read("missing"))
        local where = dir.path
        dir:remove()
        dir:remove()
        assert.equal(0, shell.run("test ! -e " .. shell.quote(where)).code)
    end)
end)
