-- sprig: texts, words, encodings, regular expressions.

local check = require("spec.support.render").check

describe("texts", function()
  it("are trimmed, cut and changed", function()
    check {
      { '{{trim " \\ta\\u00a0"}}|{{trimAll "-" "--a-b--"}}|{{trimPrefix "a" "ab"}}|{{trimSuffix "b" "ab"}}|{{trimSuffix "" "ab"}}',
        "a|a-b|b|a|ab" },
      { '{{upper "é"}} {{lower "ÀB"}} {{title "a wORD it\'s"}} {{untitle "A Word"}} {{swapcase "aBc"}}',
        "É àb A WORD It'S a word AbC" },
      { '{{substr 1 3 "hello"}} {{substr -1 3 "hello"}} {{substr 2 -1 "hello"}} {{trunc 2 "abc"}} {{trunc -2 "abc"}} {{trunc -9 "abc"}}',
        "el hel llo ab bc abc" },
      { '{{substr 3 1 "abc"}}', error = "slice bounds out of range" }, { '{{repeat -1 "a"}}', error = "negative Repeat count" },
      { '{{repeat 3 "ab"}} {{replace "a" "o" "banana"}} {{replace "" "-" "ab"}} {{nospace " a b\\n"}} {{initials "First Try"}}',
        "ababab bonono -a-b- ab FT" },
      { '{{abbrev 5 "hello world"}} {{abbrev 3 "hello"}} {{abbrevboth 5 10 "abcdefghijklmnopqrstuvwxyz"}} {{plural "one" "many" 1}}',
        "he... hello ...fghi... one" },
      { '{{wrap 5 "a bb ccc dddd"}}', "a bb\nccc\ndddd" },
      { '{{wrapWith 3 "|" "abcdefgh ij"}}', "abc|def|gh|ij" },
      { '{{indent 2 "a\\nb"}}|{{nindent 2 "a"}}', "  a\n  b|\n  a" },
      { '{{quote "a" nil 1}} {{squote "a" nil}} {{cat "a" nil 1}} {{contains "b" "abc"}} {{hasPrefix "a" "ab"}} {{hasSuffix "a" "ab"}}',
        [["a" "1" 'a' a 1 true true false]] },
    }
  end)

  it("become lists and back", function()
    check {
      { '{{split "," "a,b"}} {{(split "," "a,b")._1}} {{splitn "," 2 "a,b,c"}} {{splitList "," "a,b"}} {{splitList "" "é!"}}',
        "map[_0:a _1:b] b map[_0:a _1:b,c] [a b] [é !]" },
      { '{{join "-" (list 1 nil "b")}} {{join "," 5}} {{sortAlpha (list "b" 3 "a")}} {{toStrings (list 1 "a")}} {{typeOf (toStrings 1)}}',
        "1-b 5 [3 a b] [1 a] []string" },
    }
  end)
end)

describe("words", function()
  it("are told apart by case, digits and connectors", function()
    check {
      { '{{snakecase "FirstName"}} {{snakecase "HTTPServer"}} {{snakecase "NoHTTPS"}} {{snakecase "GO PATH"}}'
        .. ' {{snakecase "Bld4Floor"}} {{snakecase "HTTP2xx"}}',
        "first_name http_server no_https go_path bld4_floor http_2xx" },
      { '{{kebabcase "HelloWorld"}} {{kebabcase "a_b c"}} {{camelcase "http_server"}} {{camelcase "_a__b_"}}'
        .. ' {{camelcase "some words"}} {{camelcase "ALL"}}',
        "hello-world a-b-c HttpServer _A_B_ SomeWords All" },
      { '{{snakecase "a\\tb\\nC"}} {{kebabcase "HTTP\\nServer"}} {{camelcase "a\\tb"}}', "a_b_c http-server AB" }, -- any blank connects
    }
  end)
end)

describe("encodings and checksums", function()
  it("are Go's", function()
    check {
      { '{{b64enc "hello"}} {{b64dec "aGVsbG8="}} {{b64dec "YQ"}} {{b32enc "hi"}} {{b32dec "NBUQ===="}}',
        "aGVsbG8= hello illegal base64 data at input byte 0 NBUQ==== hi" },
      { '{{b32dec "UTC"}} {{b32dec "ABCDEFGHA"}}', "illegal base32 data at input byte 0 illegal base32 data at input byte 8" },
      { '{{b32dec "NB1Q"}} {{b32dec "NBUQ=="}} {{b32dec "ABC====="}}',
        "illegal base32 data at input byte 2 illegal base32 data at input byte 6 illegal base32 data at input byte 3" },
      { '{{b32dec "NBUQ====X"}} {{b32dec "NB\\nUQ===="}} {{b32dec "NBUQ====" | len}} {{b32dec "MZXW6YTBOI======"}}', "hi hi 2 foobar" },
      { '{{sha1sum "a"}} {{adler32sum "Wikipedia"}}', "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8 300286872" },
      { '{{sha256sum "a"}}', "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" },
      { '{{sha512sum "" | trunc 32}} {{sha256sum (repeat 100 "ab") | len}}', "cf83e1357eefb8bdf1542850d66d8007 64" },
      { '{{decryptAES "k" (encryptAES "k" "some text of more than one block")}}', "some text of more than one block" },
      { '{{decryptAES "k" "YQ=="}}', error = "not full blocks" },
    }
  end)
end)

describe("regular expressions", function()
  it("match, find, replace and split as Go's do", function()
    check {
      { '{{regexMatch "^a.c$" "abc"}} {{regexFind "[0-9]+" "a12b3"}} {{regexFindAll "a*" "baaac" -1}} {{regexFindAll "[0-9]" "1a2b3" 2}}',
        "true 12 [ aaa ] [1 2]" },
      { '{{regexReplaceAll "(a)(b)" "ab" "$2$1 ${1}x $1x $$ $"}} {{regexReplaceAll "(?P<n>\\\\w+)!" "hi!" "<${n}>"}}'
        .. ' {{regexReplaceAll "x*" "abc" "-"}}',
        "ba ax  $ $ <hi> -a-b-c-" },
      { '{{regexReplaceAllLiteral "a" "bab" "$1"}} {{regexSplit "z+" "pizza" -1}} {{regexSplit "a" "banana" 2}} {{regexQuoteMeta "a.b"}}',
        [[b$1b [pi a] [b nana] a\.b]] },
      { '{{regexMatch "(" "x"}}', "false" },
      { '{{mustRegexMatch "(" "x"}}', error = "error parsing regexp" },
      { '{{regexFind "(" "x"}}', error = "error parsing regexp" },
      { '{{regexSplit "(" "x" 0}}', error = "error parsing regexp" },
    }
  end)
end)
