# "PA9" as a number: 16 for each port, and the pin (pins.h).
function(pin_number name out)
  string(SUBSTRING ${name} 1 1 letter)
  string(SUBSTRING ${name} 2 -1 pin)
  string(FIND "ABCDEFGH" ${letter} port)
  math(EXPR number "16 * ${port} + ${pin}")
  set(${out} ${number} PARENT_SCOPE)
endfunction()
