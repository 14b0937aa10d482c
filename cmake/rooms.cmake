# The rooms and what each may link and include: the one table (docs/architecture.md shows it as a picture).
# A room is the static library torc_<room> made of every .c file under its directory (src/<room> unless
# TORC_DIR_<room> says otherwise). scripts/check_includes.py reads the TORC_ lines of this file.
#
# base      <- nothing
# wire      <- base
# overlay   <- base wire
# ice       <- base wire
# bootstrap <- base wire
# io        <- base wire overlay ice bootstrap + libuv OpenSSL LMDB libxml2 jansson inih libwebsockets libcurl avahi-core
# authority <- base wire io + OpenSSL libxml2 SQLite libpq libmicrohttpd
# identity  <- base wire io authority + OpenSSL libunbound
# sim       <- base wire overlay bootstrap
set(TORC_ROOM_LIST base wire overlay ice bootstrap io authority identity sim)
set(TORC_ROOM_base "")
set(TORC_ROOM_wire base)
set(TORC_ROOM_overlay base wire)
set(TORC_ROOM_ice base wire)
set(TORC_ROOM_bootstrap base wire)
set(TORC_ROOM_io base wire overlay ice bootstrap)
set(TORC_ROOM_authority base wire io)
set(TORC_ROOM_identity base wire io authority)
set(TORC_ROOM_sim base wire overlay bootstrap)

# Rooms that may include headers of the operating system and of third parties.
set(TORC_ROOMS_WITH_OS io authority identity sim)

# Inside overlay, sub-room by sub-room: what each may include besides itself and the files directly in src/overlay.
set(TORC_SUBROOM_overlay_usage "")
set(TORC_SUBROOM_overlay_storage usage)
set(TORC_SUBROOM_overlay_topology usage)
set(TORC_SUBROOM_overlay_node topology storage usage)

set(TORC_DIR_sim sim)

set(TORC_LIBS_io PkgConfig::UV PkgConfig::SSL lmdb PkgConfig::JANSSON PkgConfig::INIH Threads::Threads ${CMAKE_DL_LIBS})
set(TORC_LIBS_authority PkgConfig::SSL PkgConfig::XML2 PkgConfig::SQLITE PkgConfig::PQ PkgConfig::MHD Threads::Threads)
set(TORC_LIBS_identity PkgConfig::SSL)
set(TORC_LIBS_sim Threads::Threads)

# Compiled against, but opened only when needed (src/io/late_lib.h): libxml2, libwebsockets, libcurl, libunbound,
# libunistring, avahi. The name to open is that of the library found here.
# torc_late_lib(PREFIX [NAME SUFFIX]): of several libraries the one called NAME, as TORC_SONAME_PREFIXSUFFIX.
function(torc_late_lib prefix)
  set(files ${${prefix}_LINK_LIBRARIES})
  if(ARGC GREATER 2)
    list(FILTER files INCLUDE REGEX "/lib${ARGV1}\\.")
  endif()
  list(GET files 0 file)
  execute_process(COMMAND ${CMAKE_READELF} -d ${file} OUTPUT_VARIABLE text RESULT_VARIABLE failed)
  if(failed OR NOT text MATCHES "SONAME[^[]*\\[([^]]+)\\]")
    message(FATAL_ERROR "${file} has no SONAME")
  endif()
  add_compile_definitions(TORC_SONAME_${prefix}${ARGV2}="${CMAKE_MATCH_1}")
  include_directories(SYSTEM ${${prefix}_INCLUDE_DIRS})
endfunction()

function(torc_rooms)
  foreach(room IN LISTS TORC_ROOM_LIST)
    set(dir src/${room})
    if(TORC_DIR_${room})
      set(dir ${TORC_DIR_${room}})
    endif()
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${dir}/*.c)
    if(sources)
      add_library(torc_${room} STATIC ${sources})
      set(scope PUBLIC)
    else()
      add_library(torc_${room} INTERFACE)
      set(scope INTERFACE)
    endif()
    target_include_directories(torc_${room} ${scope} ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
    if(TORC_DIR_${room})
      target_include_directories(torc_${room} ${scope} ${CMAKE_SOURCE_DIR})
    endif()
    foreach(dep IN LISTS TORC_ROOM_${room})
      target_link_libraries(torc_${room} ${scope} torc_${dep})
    endforeach()
    target_link_libraries(torc_${room} ${scope} ${TORC_LIBS_${room}})
  endforeach()
endfunction()

# Files that are part of a program: variables NAME[] and NAME_len of the room's library.
function(torc_embed room name file)
  file(READ ${CMAKE_SOURCE_DIR}/${file} bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/embedded/${name}.c CONTENT
       "extern const unsigned char ${name}[];\nextern const unsigned ${name}_len;\nconst unsigned char ${name}[] = {${bytes}};\nconst unsigned ${name}_len = sizeof ${name};\n")
  target_sources(torc_${room} PRIVATE ${CMAKE_BINARY_DIR}/embedded/${name}.c)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${file})
endfunction()
