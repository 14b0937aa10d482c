# The rooms and what each may link and include: the one table (docs/architecture.md shows it as a picture).
# torc_room(NAME DIRS dir... ROOMS room... LIBS lib...) makes the static library torc_NAME of src/<dir>/*.c.
#
# base      <- nothing
# wire      <- base
# overlay   <- base wire
# bootstrap <- base wire
# io        <- base wire overlay bootstrap + libuv OpenSSL LMDB libxml2 jansson inih libwebsockets
# authority <- base wire io + OpenSSL libxml2
set(TORC_ROOM_LIST base wire overlay bootstrap io authority)
set(TORC_ROOM_base "")
set(TORC_ROOM_wire base)
set(TORC_ROOM_overlay base wire)
set(TORC_ROOM_bootstrap base wire)
set(TORC_ROOM_io base wire overlay bootstrap)
set(TORC_ROOM_authority base wire io)

set(TORC_LIBS_io PkgConfig::UV PkgConfig::SSL lmdb PkgConfig::XML2 PkgConfig::JANSSON PkgConfig::INIH
                 PkgConfig::LWS Threads::Threads)
set(TORC_LIBS_authority PkgConfig::SSL PkgConfig::XML2)

function(torc_rooms)
  foreach(room IN LISTS TORC_ROOM_LIST)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${room}/*.c)
    if(sources)
      add_library(torc_${room} STATIC ${sources})
      target_include_directories(torc_${room} PUBLIC ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
      set_property(TARGET torc_${room} PROPERTY POSITION_INDEPENDENT_CODE ON)
      foreach(dep IN LISTS TORC_ROOM_${room})
        target_link_libraries(torc_${room} PUBLIC torc_${dep})
      endforeach()
      target_link_libraries(torc_${room} PUBLIC ${TORC_LIBS_${room}})
    else()
      add_library(torc_${room} INTERFACE)
      target_include_directories(torc_${room} INTERFACE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
      foreach(dep IN LISTS TORC_ROOM_${room})
        target_link_libraries(torc_${room} INTERFACE torc_${dep})
      endforeach()
    endif()
  endforeach()
endfunction()
