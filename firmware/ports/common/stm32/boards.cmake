# Ports with a table of boards: a row's words become definitions.

# The words of `file`'s row that begins with `key`, as a list.
function(read_row file key out)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(STRINGS ${file} row REGEX "^${key} ")
  if(row STREQUAL "")
    message(FATAL_ERROR "${file} has no row '${key}'")
  endif()
  string(REGEX REPLACE " +" ";" row "${row}")
  set(${out} "${row}" PARENT_SCOPE)
endfunction()

# "PA9" as a number: 16 for each port, and the pin.
function(pin_number name out)
  string(SUBSTRING ${name} 1 1 letter)
  string(SUBSTRING ${name} 2 -1 pin)
  string(FIND "ABCDEFGH" ${letter} port)
  math(EXPR number "16 * ${port} + ${pin}")
  set(${out} ${number} PARENT_SCOPE)
endfunction()
