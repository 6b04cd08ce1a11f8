"""Where bytes live: a folder or an S3 prefix behind one interface.

Begin with `store`; `folder_store` and `s3_store` are its two kinds, `lease` is a lock in either.
"""
