# read_row(FILE KEY OUT): the words of FILE's row that begins with KEY, as the list OUT. Such files
# (boards.txt) are tables for people, for CMake and for what flashes boards alike: words between
# spaces, lines that begin with # for people only.
function(read_row file key out)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(STRINGS ${file} row REGEX "^${key} ")
  if(row STREQUAL "")
    message(FATAL_ERROR "${file} has no row '${key}'")
  endif()
  string(REGEX REPLACE " +" ";" row "${row}")
  set(${out} "${row}" PARENT_SCOPE)
endfunction()
