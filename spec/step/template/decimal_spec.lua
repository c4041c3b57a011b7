local check = require("spec.support.render").check

describe("decimal", function()
  it("gives the float nearest to the exact result (S4.3: as sprig)", function()
    check {
      { "{{addf 0.1 0.2}} {{subf 0.3 0.1}} {{mulf 1.1 1.1 1.1}} {{add1f 1.5}} {{addf 1e300 1e-300}}", "0.3 0.2 1.331 2.5 1e+300" },
      { "{{addf -1.5 0.25}} {{subf 1 1}} {{mulf -2 0}} {{mulf -1.5 -2}} {{addf}}", "-1.25 0 0 3 0" },
      { "{{mulf 1e15 1.1}} {{mulf 9999999.5 10000001.5}} {{mulf 1e300 1e300}}", "1.1e+15 1.0000000999999925e+14 +Inf" },
    }
  end)
  it("rounds a quotient to 16 places, half away from zero", function()
    check {
      { "{{divf 2.5 3}} {{divf 2 3}} {{divf -2 3}} {{divf 22 9}} {{divf 123.456 0.3}}",
        "0.8333333333333333 0.6666666666666667 -0.6666666666666667 2.444444444444444 411.52" },
      { "{{divf 10 4 5}} {{divf 1 1e17}} {{divf 5 1e17}} {{divf 0 7}} {{divf 1e-7 1e15}}", "0.5 0 1e-16 0 0" },
      { "{{mulf (divf 1 3) 3}} {{divf 1 3 7}}", "0.9999999999999999 0.0476190476190476" },
    }
  end)
  it("refuses what is no decimal", function()
    check { { "{{divf 1 0}}", error = "division by 0" }, { '{{addf "inf" 1}}', error = "Cannot create a Decimal" } }
  end)
end)
