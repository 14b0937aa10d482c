# libtorc (shared and static, of all rooms but authority and sim) and `make install`.
