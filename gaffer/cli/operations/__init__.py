"""Operations on jobs and processes that gaffer and gafferctl share."""
